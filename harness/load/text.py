"""A load's result for the terminal: a line for each kind of request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.load.result import LoadResult, Requests

_TOLD = 4
"""Kinds of requests whose two times are told; all of them are kept."""

SIGN = {"passed": "✓", "failed": "✗"}


def result_renderable(result: LoadResult) -> RenderableType:
    """What a load gave: a headline, a table, what is to be said besides."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("request", no_wrap=True)
    for name in ("done", "done/s", "p50", "p95", "p99", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("refused, tried again", overflow="fold")
    table.add_column("failed", overflow="fold", style="red")
    for database in sorted({one.database for one in result.requests}):
        table.add_row(Text(database, style="dim"))
        for one in result.requests:
            if one.database == database:
                table.add_row(*_row(one, result.seconds))
    lines: list[RenderableType] = [Text(headline(result), style="bold"), Text(how(result), style="dim"), table]
    if result.arrivals == "open":
        lines += [Text(line, style="dim") for line in open_loop(result)]
    lines += [Text(f"! {note}") for note in result.notes]
    lines += [Text(f"✗ {line}", style="red") for line in result.mismatches]
    return Group(*lines)


def headline(result: LoadResult) -> str:
    """The result in a line."""
    done = sum(one.done for one in result.requests)
    parts = [f"{done:,} done in {result.seconds:.1f} s ({done / max(result.seconds, 0.001):,.0f}/s)"]
    for name, counts in (("tried again", _sum(one.retried for one in result.requests)),
                         ("failed", _sum(one.failed for one in result.requests))):  # fmt: skip
        if counts:
            parts.append(f"{sum(counts.values()):,} {name} ({kinds(counts)})")
    return f"{SIGN[result.status]} {result.name}: {'; '.join(parts)}"


def how(result: LoadResult) -> str:
    """How it was run."""
    most = max((one.users for one in result.users), default=0)
    processes = f", {result.processes} processes" if result.processes > 1 else ""
    return (
        f"{result.title}. {result.shape}, {result.arrivals} loop, up to {most} users{processes}; times in milliseconds"
    )


def open_loop(result: LoadResult) -> list[str]:
    """How far real starts were behind the intended ones."""
    lines = [f"{result.intended or 0:,} were to begin, {result.late:,} of them began more than 1 ms late"]
    behind = [one for one in result.requests if one.service][:_TOLD]
    for one in behind:
        lines.append(
            f"{one.name}: p99 {_ms(one.percentiles.get('99'))} from the intended start, "
            f"{_ms(one.service.get('99'))} from the real one"
        )
    return lines


def kinds(counts: Mapping[str, int]) -> str:
    """``deadlock 3, lock timeout 1``."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _row(one: Requests, seconds: float) -> list[str]:
    percentiles = [_ms(one.percentiles.get(name)) for name in ("50", "95", "99")]
    return [
        f"  {one.name}",
        f"{one.done:,}",
        f"{one.done / max(seconds, 0.001):,.1f}",
        *percentiles,
        _ms(one.most if one.done else None),
        kinds(one.retried),
        kinds(one.failed),
    ]


def _ms(value: float | None) -> str:
    """Milliseconds in three figures.

    >>> _ms(0.4016), _ms(12.3456), _ms(1000.4), _ms(None)
    ('0.40', '12.3', '1,000', '–')
    """
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _sum(many: Iterable[Mapping[str, int]]) -> dict[str, int]:
    made: dict[str, int] = {}
    for counts in many:
        for name, count in counts.items():
            made[name] = made.get(name, 0) + count
    return made
