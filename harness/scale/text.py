"""The model's answer in words: for the terminal, as JSON, as Markdown tables of docs/scale.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.scale.model import AXES, HELD, Judged, Need, Size, first_breaks, nodes_of
from harness.scale.node import HABITS, NODE, Told
from harness.scale.takeover import takes_over


def number(value: float) -> str:
    """As a person reads it.

    >>> [number(one) for one in (0.43, 12.34, 6_464_491, 2.4e9)]
    ['0.43', '12', '6.5 million', '2.4 billion']
    """
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.2g} {word}" if value < 100 * size else f"{value / size:,.0f} {word}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def amount(value: float, unit: str) -> str:
    """With its unit.

    >>> amount(8.5e10, "bytes"), amount(200, "connections")
    ('85 GB', '200 connections')
    """
    if unit == "bytes":
        for size, word in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
            if value >= size:
                return f"{value / size:,.0f} {word}" if value >= 10 * size else f"{value / size:.1f} {word}"
        return f"{value / 1e3:,.0f} kB"
    return f"{number(value)} {unit}"


def share(value: float) -> str:
    """Of one node: a percentage, or how many times it."""
    return f"{value:,.0f} times" if value >= 10 else f"{value:.0%}" if value >= 0.01 else "below 1%"


def nodes(one: Judged) -> str:
    """How many carry it."""
    return str(one.nodes) if one.nodes else "none"


def rows(judged: Sequence[Judged]) -> list[tuple[str, ...]]:
    """Part, resource, one node, needed, share, nodes."""
    return [
        (
            one.need.part,
            one.need.resource,
            amount(one.need.limit, one.need.unit),
            amount(one.amount, one.need.unit),
            share(one.share),
            nodes(one) if one.share > 1 else "1",
        )
        for one in judged
    ]


def broken_first(needs: Sequence[Need]) -> list[tuple[str, str]]:
    """For each axis a line: who ends first, second, …"""
    made: list[tuple[str, str]] = []
    for axis in AXES:
        found = first_breaks(needs, axis)
        made.append((axis, "; ".join(f"{need.part} ({need.resource}) at {number(at)}" for at, need in found)))
    return made


def held(axis: str) -> str:
    """What the others are meanwhile."""
    others = [f"{HELD.of(one):,} {one}" for one in AXES if one != axis and one != "cases"]
    return " and ".join(others)


def as_data(judged: Sequence[Judged], needs: Sequence[Need], size: Size) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "size": asdict(size),
        "extrapolated": any(one.extrapolated for one in judged),
        "nodes": nodes_of(judged),
        "needs": [
            {
                "part": one.need.part,
                "resource": one.need.resource,
                "unit": one.need.unit,
                "amount": one.amount,
                "limit": one.need.limit,
                "limit_from": one.need.limit_from,
                "share": one.share,
                "nodes": one.nodes or None,
                "breaks": dict(one.breaks),
                "measured_by": one.need.measured_by,
                "measured": {axis: list(reach) for axis, reach in one.need.reach.items()},
                "off": one.need.off,
                "extrapolated": list(one.extrapolated),
                "takes_over": takes_over(one, size) if one.share > 1 else None,
            }
            for one in judged
        ],
        "first": {
            axis: [{"at": at, "part": need.part, "resource": need.resource} for at, need in first_breaks(needs, axis)]
            for axis in AXES
        },
        "told": {
            name: {"value": told.value, "source": told.source}
            for given in (NODE, HABITS)
            for name in type(given).__dataclass_fields__
            if isinstance(told := getattr(given, name), Told)
        },
    }
