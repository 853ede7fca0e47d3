"""How often, how long, and how it ended: counted for each kind of request, at the cost of one list entry a request.

Locust fires an event for each request, and its listeners add it up there and then: about as dear as the request itself. Here
a request is only noted down (:class:`Kind`); twice a second all that came together is added up at once (:meth:`Tally.take`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.load.histogram import Histogram
from harness.load.result import Requests, Second

clock = time.perf_counter
PERCENTS = (50, 90, 95, 99, 99.9)


class Kind:
    """One kind of request in this process, as the hot path sees it. Times are those of :func:`clock`, seconds.

    ``done`` gets (intended start, real start, end); ``failed`` the same and why; ``retried`` when and why.
    """

    __slots__ = ("database", "done", "failed", "name", "protocol", "retried")

    def __init__(self, name: str, database: str, protocol: str) -> None:
        self.name = name
        self.database = database
        self.protocol = protocol
        self.done: list[tuple[float, float, float]] = []
        self.failed: list[tuple[float, float, float, str]] = []
        self.retried: list[tuple[float, str]] = []


@dataclass(slots=True)
class SecondCounts:
    """A kind's requests that ended in one second."""

    times: Histogram = field(default_factory=Histogram)  # of those that ended well, from the intended start
    failed: int = 0
    retried: int = 0


@dataclass(slots=True)
class KindCounts:
    """A kind's requests, added up."""

    protocol: str
    times: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)  # from the real start
    failed: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    late: int = 0  # began more than a millisecond after they were to
    seconds: dict[int, SecondCounts] = field(default_factory=dict)  # by seconds since 1970

    def second(self, at: int) -> SecondCounts:
        """The counts of a second."""
        return self.seconds.setdefault(at, SecondCounts())

    def merge(self, other: KindCounts) -> None:
        """Add what another process, or a later moment, has counted."""
        self.times.merge(other.times)
        self.service.merge(other.service)
        self.failed.update(other.failed)
        self.retried.update(other.retried)
        self.late += other.late
        for at, theirs in other.seconds.items():
            mine = self.second(at)
            mine.times.merge(theirs.times)
            mine.failed += theirs.failed
            mine.retried += theirs.retried

    def to_json(self) -> dict[str, Any]:
        """Plain data, for another process."""
        return {
            "protocol": self.protocol,
            "times": self.times.to_json(),
            "service": self.service.to_json(),
            "failed": dict(self.failed),
            "retried": dict(self.retried),
            "late": self.late,
            "seconds": {str(at): [one.times.to_json(), one.failed, one.retried] for at, one in self.seconds.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KindCounts:
        """What :meth:`to_json` gave."""
        seconds = {
            int(at): SecondCounts(Histogram.from_json(times), failed, retried)
            for at, (times, failed, retried) in data["seconds"].items()
        }
        return cls(
            data["protocol"],
            Histogram.from_json(data["times"]),
            Histogram.from_json(data["service"]),
            Counter(data["failed"]),
            Counter(data["retried"]),
            data["late"],
            seconds,
        )


class Counts:
    """What was counted, of all kinds: whole, or what came since it was last asked."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str], KindCounts] = {}  # by name and database

    def kind(self, name: str, database: str, protocol: str) -> KindCounts:
        """The counts of a kind."""
        key = name, database
        if key not in self.kinds:
            self.kinds[key] = KindCounts(protocol)
        return self.kinds[key]

    def merge(self, other: Counts) -> None:
        """Add what another process, or a later moment, has counted."""
        for (name, database), theirs in other.kinds.items():
            self.kind(name, database, theirs.protocol).merge(theirs)

    def to_json(self) -> list[Any]:
        """Plain data, for another process."""
        return [[*key, counts.to_json()] for key, counts in self.kinds.items()]

    @classmethod
    def from_json(cls, data: list[Any]) -> Counts:
        """What :meth:`to_json` gave."""
        made = cls()
        for name, database, counts in data:
            made.kinds[name, database] = KindCounts.from_json(counts)
        return made

    def requests(self) -> list[Requests]:
        """As the results keep it, by name; the busiest first."""
        kinds = sorted(self.kinds.items(), key=lambda one: (-one[1].times.count, one[0]))
        return [_requests(name, database, counts) for (name, database), counts in kinds]

    @property
    def late(self) -> int:
        """Requests that began more than a millisecond after they were to."""
        return sum(counts.late for counts in self.kinds.values())


def _requests(name: str, database: str, counts: KindCounts) -> Requests:
    times = counts.times
    service = _percentiles(counts.service)
    whole = _percentiles(times)
    return Requests(
        name=name,
        database=database,
        done=times.count,
        failed=dict(counts.failed.most_common()),
        retried=dict(counts.retried.most_common()),
        mean=round(times.mean, 4),
        least=round(1000 * times.least, 4) if times.count else 0,
        most=round(1000 * times.most, 4),
        percentiles=whole,
        service=service if service != whole else {},
        seconds=list(_seconds(counts)),
    )


def _seconds(counts: KindCounts) -> Iterator[Second]:
    for at, one in sorted(counts.seconds.items()):
        p50, p95, p99 = (one.times.percentile(percent) for percent in (50, 95, 99))
        yield Second(
            at=at,
            done=one.times.count,
            failed=one.failed,
            retried=one.retried,
            p50=_short(p50),
            p95=_short(p95),
            p99=_short(p99),
            most=_short(1000 * one.times.most) if one.times.count else None,
        )


def _percentiles(times: Histogram) -> dict[str, float]:
    return {f"{percent:g}": round(value, 4) for percent in PERCENTS if (value := times.percentile(percent)) is not None}


def _short(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 4)


_LATE = 0.001
"""Seconds: gevent's own timers are not more exact."""


class Tally:
    """What this process has noted down and not yet added up. One thread (gevent's hub) uses it, so nothing is locked."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str], Kind] = {}
        self._since_1970 = time.time() - clock()

    def kind(self, name: str, database: str, protocol: str) -> Kind:
        """Where requests of this kind are noted; the same one for all users."""
        key = name, database
        if key not in self.kinds:
            self.kinds[key] = Kind(name, database, protocol)
        return self.kinds[key]

    def wall(self, moment: float) -> float:
        """A moment of :func:`clock` as seconds since 1970."""
        return moment + self._since_1970

    def take(self) -> tuple[Counts, list[Noted]]:
        """What came since this was last asked: added up, and as it was noted (Locust's own statistics want that)."""
        counts = Counts()
        noted = []
        for kind in self.kinds.values():
            if not (kind.done or kind.failed or kind.retried):
                continue
            done, kind.done = kind.done, []
            failed, kind.failed = kind.failed, []
            retried, kind.retried = kind.retried, []
            one = Noted(kind, np.array(done).reshape(-1, 3), failed, retried)
            self._add(counts.kind(kind.name, kind.database, kind.protocol), one)
            noted.append(one)
        return counts, noted

    def _add(self, counts: KindCounts, noted: Noted) -> None:
        intended, began, ended = noted.done.T
        counts.times.add_many(ended - intended)
        counts.service.add_many(ended - began)
        counts.late += int((began - intended > _LATE).sum())
        seconds = np.floor(ended + self._since_1970).astype(np.int64)
        for at in np.unique(seconds):
            counts.second(int(at)).times.add_many((ended - intended)[seconds == at])
        for _, _, end, why in noted.failed:
            counts.failed[why] += 1
            counts.second(int(self.wall(end))).failed += 1
        for when, why in noted.retried:
            counts.retried[why] += 1
            counts.second(int(self.wall(when))).retried += 1


@dataclass(frozen=True, slots=True)
class Noted:
    """A kind's requests of a short time, one by one: ``done`` has a row (intended, began, ended) for each."""

    kind: Kind
    done: np.ndarray[Any, np.dtype[np.float64]]
    failed: list[tuple[float, float, float, str]]
    retried: list[tuple[float, str]]
