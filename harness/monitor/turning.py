"""Makes a row of two samples: rates, counts and shares out of totals that only grow.

A server that was started anew, or whose counters were reset, leaves a gap in everything that is made of totals: a rate
is never negative, and never what a counter had gathered before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.monitor.base import Kind, Raw, Spec


@dataclass(slots=True)
class Row:
    """One row of a series."""

    at: float
    values: dict[str, float | None]
    waits: dict[str, float] = field(default_factory=dict)
    grown: dict[str, float] = field(default_factory=dict)  # of rates and counts: how much since the row before
    anew: bool = False  # the counters had begun anew


class Turning:
    """The samples of one server, one after the other."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        self._specs = specs
        self._before: tuple[float, Raw] | None = None

    def lost(self) -> None:
        """There was no sample: what the counters did meanwhile belongs to no row."""
        self._before = None

    def row(self, at: float, moment: float, raw: Raw) -> Row:
        """The row of a sample taken at ``moment`` of the monotonic clock."""
        before, self._before = self._before, (moment, raw)
        seconds, grown, anew = 0.0, {}, False
        if before is not None:
            seconds = moment - before[0]
            anew = before[1].epoch != raw.epoch or _shrunk(before[1], raw)
            if not anew and seconds > 0:
                grown = _grown(before[1], raw)
        row = Row(
            at, {spec.name: _value(spec, raw, grown, seconds) for spec in self._specs}, dict(raw.waits), anew=anew
        )
        row.grown = {
            spec.name: grown[spec.total]
            for spec in self._specs
            if spec.kind in (Kind.rate, Kind.count) and spec.total in grown
        }
        if before is not None and not anew and seconds > 0:
            for wait, spent in raw.wait_totals.items():
                if (more := spent - before[1].wait_totals.get(wait, 0.0)) > 0:
                    row.waits[wait] = round(more / seconds, 4)  # sessions that waited for it, on average
        return row


def _shrunk(before: Raw, now: Raw) -> bool:
    return any(now.totals.get(name, value) < value for name, value in before.totals.items())


def _grown(before: Raw, now: Raw) -> dict[str, float]:
    grown = {}
    for name, value in now.totals.items():
        if name in before.totals:
            own = now.own.get(name, 0.0) - before.own.get(name, 0.0)
            # The server may write down the sampler's own work a little later than it is done.
            grown[name] = max(0.0, value - before.totals[name] - own)
    return grown


def _value(spec: Spec, raw: Raw, grown: dict[str, float], seconds: float) -> float | None:
    if spec.kind is Kind.gauge:
        return raw.gauges.get(spec.name)
    part = grown.get(spec.total)
    if part is None:
        return None
    if spec.kind is Kind.rate:
        return part / seconds
    if spec.kind is Kind.count:
        return part
    rest = grown.get(spec.rest)
    if rest is None:
        return None
    if spec.kind is Kind.mean:
        return part / rest if rest else None
    return 100 * part / (part + rest) if part + rest else None
