"""Locust's own statistics, kept full: its web page, its CSV files and its exit code show what the tally counted.

Locust adds up a request when ``events.request`` is fired. Here that happens for many at once, in the entries that Locust's
listener would have changed one by one (``locust.stats.StatsEntry.log``). If somebody else listens to the event too (a plugin
that writes each request elsewhere), it is fired for each request, and Locust adds up by itself.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import gevent
import numpy as np
from locust import stats as locust_stats
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from locust.stats import RequestStats

from harness.load.tally import Counts, Noted, Tally

_EVERY = 0.5  # seconds
_BUCKET = locust_stats.bucket_response_time
_MESSAGE = "promptsales"
REFUSED = "refused"
"""The method of Locust's entries for what was refused and tried again."""


class Feed:
    """What one process's tally gives to Locust, and to the master where there is one.

    ``counts`` are this process's, in a master those of all its workers.
    """

    def __init__(self, environment: Environment, tally: Tally) -> None:
        self.counts = Counts()
        self._unsent = Counts()
        self._environment = environment
        self._tally = tally
        self._greenlet: gevent.Greenlet[..., Any] | None = None
        events = environment.events
        events.test_start.add_listener(self._start)
        events.test_stop.add_listener(self._stop)
        events.quitting.add_listener(self._stop)
        events.spawning_complete.add_listener(self._spawned)
        events.report_to_master.add_listener(self._report)
        events.worker_report.add_listener(self._hear)

    def _start(self, **_: Any) -> None:
        self.counts, self._unsent = Counts(), Counts()
        self._tally.take()  # of a test before
        if self._greenlet is None and not isinstance(self._environment.runner, MasterRunner):
            self._greenlet = gevent.spawn(self._go_on)

    def _go_on(self) -> None:
        while True:
            gevent.sleep(_EVERY)
            self.pour()

    def _stop(self, **_: Any) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None
        self.pour()

    def _spawned(self, **_: Any) -> None:
        if self._environment.reset_stats:
            self.pour()
            self.counts = Counts()

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        """A worker tells its master."""
        self.pour()
        unsent, self._unsent = self._unsent, Counts()
        data[_MESSAGE] = unsent.to_json()

    def _hear(self, data: dict[str, Any], **_: Any) -> None:
        """A master hears a worker."""
        self.counts.merge(Counts.from_json(data.get(_MESSAGE, [])))

    def pour(self) -> None:
        """Add up what was noted down since the last time."""
        counts, noted = self._tally.take()
        if not noted:
            return
        self.counts.merge(counts)
        if isinstance(self._environment.runner, WorkerRunner):
            self._unsent.merge(counts)
        alone = self._alone()
        for one in noted:
            try:
                (self._add if alone else self._fire)(one)
            except Exception:  # a listener's own fault, or a Locust that is not the one we know: the counts are safe
                logging.getLogger(__name__).exception("Locust's statistics of %r are not complete", one.kind.name)

    def _alone(self) -> bool:
        """Whether only Locust's runner listens to requests."""
        return all(
            getattr(handler, "__module__", "") == "locust.runners"
            for handler in self._environment.events.request._handlers
        )

    def _fire(self, noted: Noted) -> None:
        fire: Any = self._environment.events.request.fire
        for intended, began, ended in noted.done.tolist():
            fire(**self._request(noted, intended, began, ended, None))
        for intended, began, ended, why in noted.failed:
            fire(**self._request(noted, intended, began, ended, why))
        self._add_retried(noted)

    def _request(self, noted: Noted, intended: float, began: float, ended: float, why: str | None) -> dict[str, Any]:
        return {
            "request_type": noted.kind.protocol,
            "name": noted.kind.name,
            "response_time": 1000 * (ended - intended),
            "response_length": 0,
            "exception": Exception(why) if why else None,
            "start_time": self._tally.wall(began),
            "context": {},
        }

    def _add(self, noted: Noted) -> None:
        stats = self._environment.stats
        kind = noted.kind
        failed = np.array([times for *times, _ in noted.failed]).reshape(-1, 3)
        times = np.vstack([noted.done, failed])  # as Locust has it: what failed is a request too
        if len(times):
            _log(stats, kind.protocol, kind.name, 1000 * (times[:, 2] - times[:, 0]), times[:, 2] + self._tally.wall(0))
        for *_, why in noted.failed:
            stats.log_error(kind.protocol, kind.name, why)
        self._add_retried(noted)

    def _add_retried(self, noted: Noted) -> None:
        """What was refused and tried again: lines of their own, which count in no sum."""
        for when, why in noted.retried:
            entry = self._environment.stats.entries[f"{noted.kind.name}: {why}", REFUSED]
            entry.num_requests += 1
            entry.num_none_requests += 1
            at = self._tally.wall(when)
            entry.num_reqs_per_sec[int(at)] += 1
            entry.last_request_timestamp = at


def _log(stats: RequestStats, method: str, name: str, milliseconds: Any, at: Any) -> None:
    """Many requests at once: what ``RequestStats.log_request`` does for each."""
    bucketed = _bucketed(milliseconds)
    seconds = [(int(s), int(n)) for s, n in zip(*np.unique(at.astype(np.int64), return_counts=True), strict=True)]
    for entry in (stats.total, stats.entries[name, method]):
        _log_entry(entry, bucketed, seconds, milliseconds, float(at.max()))


def _bucketed(milliseconds: Any) -> list[tuple[int, int]]:
    """As Locust rounds response times: to two digits, or as somebody has told it to."""
    if locust_stats.bucket_response_time is not _BUCKET:
        return list(Counter(map(locust_stats.bucket_response_time, milliseconds.tolist())).items())
    digits = np.select([milliseconds < 100, milliseconds < 1000, milliseconds < 10000], [1, 10, 100], 1000)
    rounded, counts = np.unique((np.rint(milliseconds / digits) * digits).astype(np.int64), return_counts=True)
    return list(zip(rounded.tolist(), counts.tolist(), strict=True))


def _log_entry(
    entry: Any, bucketed: list[tuple[int, int]], seconds: list[tuple[int, int]], milliseconds: Any, last: float
) -> None:
    if (
        entry.use_response_times_cache
        and entry.last_request_timestamp
        and int(last) > int(entry.last_request_timestamp)
    ):
        entry._cache_response_times(int(last) - 1)
    entry.num_requests += len(milliseconds)
    for second, count in seconds:
        entry.num_reqs_per_sec[second] += count
    entry.last_request_timestamp = last
    entry.total_response_time += float(milliseconds.sum())
    least = float(milliseconds.min())
    entry.min_response_time = least if entry.min_response_time is None else min(entry.min_response_time, least)
    entry.max_response_time = max(entry.max_response_time, float(milliseconds.max()))
    for rounded, count in bucketed:
        entry.response_times[rounded] += count
