"""A thread that samples: by the clock, and whatever happens, until it is told to stop."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.monitor.access import Access
from harness.monitor.base import Lost, Raw, Sampler, Spec, one_line
from harness.monitor.host import CPU, HostSampler, Processes, ServerUsage
from harness.monitor.series import Cost, Series
from harness.monitor.statements import Statements
from harness.monitor.turning import Row, Turning
from harness.monitor.writing import SeriesWriter
from harness.servers.base import Target

LOOK = 30.0
"""Seconds between two looks at the statements: they cost more than a sample, and only their sum counts."""

PATIENCE = 10.0
"""Seconds that a thread is waited for at the end."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """When samples are due: the same moments for all servers of a run, so that their rows stand side by side."""

    interval: float
    begin: float = field(default_factory=time.monotonic)
    wall: float = field(default_factory=time.time)
    offset: float = 0.0  # seconds; a few milliseconds between two servers, so that they do not get in each other's way

    def next(self, after: int) -> int:
        """The number of the next sample; those whose moment has passed while one was taken are left out."""
        return max(after + 1, math.ceil((time.monotonic() - self.begin - self.offset) / self.interval))

    def wait(self, number: int) -> float:
        """Seconds until the moment of a sample."""
        return max(0.0, self.begin + self.offset + number * self.interval - time.monotonic())

    def at(self, moment: float) -> float:
        """A moment of the monotonic clock as seconds since 1970; never runs backwards, even if the clock is set."""
        return self.wall + moment - self.begin


class Listener(Protocol):
    """Hears of every row."""

    def __call__(self, watched: Watched, row: Row) -> None:
        """A row was taken."""
        ...


class Watched(threading.Thread):
    """One series: what is asked, when, and what becomes of it."""

    def __init__(self, series: Series, specs: list[Spec], timetable: Timetable, folder: Path | None) -> None:
        super().__init__(name=f"monitor-{series.name}", daemon=True)
        self.series = series
        self.specs = specs
        series.measures = [spec.measure for spec in specs]
        series.interval = timetable.interval
        self.first = threading.Event()
        """Set when the first sample was taken, or could not be."""
        self.listeners: list[Listener] = []
        self.turning = Turning(specs)
        self.connecting = False
        """Whether a connection was made in this turn."""
        self._timetable = timetable
        self._writer = SeriesWriter(folder, series) if folder else None
        self._ending = threading.Event()
        self._took: list[float] = []
        self._spent = 0.0
        self._failed = self._late = 0
        self._cpu = 0.0
        self._out: tuple[float, str] | None = None  # since when there is no sample, and why
        self._began = time.monotonic()

    # -- what a kind of series does its own way

    def look(self) -> Raw:
        """Take one sample. Raises Lost."""
        raise NotImplementedError

    def sum_up(self) -> None:
        """Look at what only its sum counts of. Raises Lost."""

    def let_go(self) -> None:
        """Disconnect; never raises."""

    def end(self) -> None:
        """The last thing that is done; never raises."""

    # -- the clock

    def stop(self) -> None:
        """Have it take no further sample; returns at once."""
        self._ending.set()

    def run(self) -> None:
        """Sample until told to stop."""
        summed = time.monotonic()
        number = self._timetable.next(-1) - 1  # the first one is taken at once: what comes is compared with it
        while not self._ending.wait(self._timetable.wait(number)):
            self._tick()
            if time.monotonic() - summed > LOOK:
                summed = time.monotonic()
                self._try(self._sum_up)
            following = self._timetable.next(number)
            self._late += (following - number - 1) * (not self.connecting)
            number, self.connecting = following, False
            self.first.set()
            self._cpu = time.thread_time()
        if self._out is None:
            self._try(self._sum_up)
        self._recovered(time.monotonic())
        if self._late:
            self.note(f"samples left out, because the one before had not ended when they were due: {self._late}")
        self.end()
        self.let_go()
        self._cpu = time.thread_time()
        if self._writer:
            self._write(lambda writer: writer.close(self.cost()))
        self.first.set()

    def _tick(self) -> None:
        begin = time.monotonic()
        try:
            raw = self.look()
        except Exception as error:  # noqa: BLE001 - a sampler never ends a run, whatever its server says
            self._lost(
                begin, one_line(error) if isinstance(error, Lost) else f"{type(error).__name__}: {one_line(error)}"
            )
            return
        moment = (begin + time.monotonic()) / 2
        self._recovered(begin)
        row = self.turning.row(self._timetable.at(moment), moment, raw)
        if row.anew:
            self.note(f"{_clock(row.at)}: the server's counters began anew (restarted, or reset)")
            self.write_facts()
        self._tell(row)
        took = time.monotonic() - begin
        if not self.connecting:  # what that takes, once, is no part of what sampling takes
            self._took.append(1000 * took)
            self._spent += took

    def _tell(self, row: Row) -> None:
        self._write(lambda writer: writer.row(row))
        for listener in self.listeners:
            listener(self, row)

    def _lost(self, moment: float, why: str) -> None:
        """No sample: an empty row, so that no line is drawn over the gap."""
        self._failed += 1
        if self._out is None:
            self._out = moment, why
        self.turning.lost()
        self.let_go()
        self._tell(Row(self._timetable.at(moment), dict.fromkeys((spec.name for spec in self.specs), None)))

    def _recovered(self, moment: float) -> None:
        if self._out is not None:
            since, why = self._out
            self._out = None
            begin, end = _clock(self._timetable.at(since)), _clock(self._timetable.at(moment))
            self.note(f"{begin} to {end}: no samples: {why}")
            self.write_facts()

    def _sum_up(self) -> None:
        begin = time.monotonic()
        self.sum_up()
        self._spent += time.monotonic() - begin

    def _try(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - as above
            self.note(f"the statements could not be looked at: {one_line(error)}")

    def _write(self, do: Callable[[SeriesWriter], None]) -> None:
        if self._writer is None:
            return
        try:
            do(self._writer)
        except OSError as error:
            self._writer = None
            self.note(f"samples are not kept from here on: {error.strerror or error}")

    def write_statements(self, top: Statements) -> None:
        """Keep them."""
        self._write(lambda writer: writer.statements(top.top))

    def write_facts(self) -> None:
        """Keep what has changed about whose samples they are."""
        self._write(lambda writer: writer.facts())

    def note(self, text: str) -> None:
        """Something that a reader has to know; once."""
        if text not in self.series.notes:
            self.series.notes.append(text)

    def cost(self) -> Cost:
        """What it has cost so far."""
        watched = max(time.monotonic() - self._began, 1e-9)
        return Cost(
            samples=len(self._took),
            failed=self._failed,
            milliseconds=round(statistics.median(self._took), 3) if self._took else 0.0,
            most=round(max(self._took), 3) if self._took else 0.0,
            share=round(self._spent / watched, 6),
            cpu=round(self._cpu, 3),
        )


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


class WatchedServer(Watched):
    """A database server."""

    def __init__(
        self,
        series: Series,
        specs: list[Spec],
        timetable: Timetable,
        folder: Path | None,
        access: Access,
        processes: Processes,
    ) -> None:
        super().__init__(series, [*specs, CPU], timetable, folder)
        self.usage = ServerUsage(processes)
        self._access = access
        self._moved: Access | None = None
        self._sampler: Sampler | None = None
        self._statements = Statements()
        self._old: list[Access] = []

    @property
    def target(self) -> Target:
        """Where it is."""
        return self._access.target

    def move(self, access: Access) -> None:
        """From the next sample on the server is another one: it had died, and one was started in its place."""
        self._moved = access

    def look(self) -> Raw:
        """Connect, if need be, and ask."""
        if self._moved is not None:
            self._old.append(self._access)
            self._access, self._moved = self._moved, None
            self.let_go()
            self.turning.lost()
            self.note("the server was replaced by another one while watched")
        if self._sampler is None:
            self.connecting = True
            self._sampler = self._access.open()
            self.series.version = self._sampler.version
            self.usage.find(self._access.target)
            self._take_notes()
            self._try(self.sum_up)
            self.write_facts()
        raw = self._sampler.sample()
        if (percent := self.usage.percent()) is not None:
            raw.gauges["cpu"] = percent
        self._take_notes()
        return raw

    def _take_notes(self) -> None:
        for note in (*self._access.notes, *(self._sampler.notes if self._sampler else ())):
            self.note(note)

    def sum_up(self) -> None:
        """The most expensive statements so far."""
        if self._sampler is not None:
            self._statements.look(self._sampler)
            self.write_statements(self._statements)
            self._take_notes()

    def let_go(self) -> None:
        """Disconnect."""
        if self._sampler is not None:
            for note in self._sampler.last_notes():
                self.note(note)
            self._sampler.close()
            self._sampler = None

    def end(self) -> None:
        """Disconnect, and remove the login."""
        self.let_go()
        for access in (*self._old, self._access):
            access.close()


class WatchedHost(Watched):
    """This machine."""

    def __init__(
        self, series: Series, specs: list[Spec], timetable: Timetable, folder: Path | None, sampler: HostSampler
    ) -> None:
        super().__init__(series, specs, timetable, folder)
        self._sampler = sampler
        self.series.version = sampler.version

    def look(self) -> Raw:
        """Ask the system."""
        return self._sampler.sample()
