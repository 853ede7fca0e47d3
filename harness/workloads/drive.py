"""How free sessions are kept going: by one thread over their sockets where the engine lets one, else by a thread each.

One thread is enough where it only hands over what the servers do at the same time; it is faster too, as threads of one
Python wait for each other (docs/performance.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from harness.engines.base import Outcome, PollableSession, Session, Statement, pollable, surprised
from harness.engines.waiting import readable
from harness.workloads.clients.base import Client, Dialogue, Done
from harness.workloads.generate import Program
from harness.workloads.record import Entry, Recorder

CANCEL_GRACE = 5.0
"""Seconds that transactions have to end after they were cancelled."""

_LOOK = 0.2  # seconds between two looks at the clock


class Seat:
    """One of the free sessions: its connection, and the number of the process that uses it now.

    As in Jepsen, a process that cannot know what became of its transaction is over: the seat goes to another one.
    """

    def __init__(self, number: int, seats: int, connect: Callable[[int], Session]) -> None:
        self._seats = seats
        self._connect = connect
        self.process = number
        self.session = connect(number)

    def renew(self) -> None:
        """Another process with another connection. Raises ServerError, LoginRefused."""
        self.session.close()
        self.process += self._seats
        self.session = self._connect(self.process)


class Drive:
    """Runs ``programs`` on ``seats`` until they are done or :attr:`deadline` (of ``time.monotonic``) has come."""

    def __init__(
        self,
        seats: Sequence[Seat],
        client: Client,
        recorder: Recorder,
        deadline: float,
        now: Callable[[int], None] | None = None,
    ) -> None:
        self._seats = seats
        self._client = client
        self._recorder = recorder
        self._deadline = deadline
        self._now = now or (lambda ended: None)
        self.late = False  # the deadline came first

    def run(self, programs: Sequence[Program]) -> None:
        """Run them all; each session takes the next one. Raises what a client or a new connection raises."""
        source = iter(programs)
        if all(pollable(seat.session) for seat in self._seats):
            _Polling(self, source).run()
        else:
            _Threads(self, source).run()

    # what both ways share

    def begin(self, seat: Seat, source: Iterator[Program]) -> tuple[Entry, Dialogue] | None:
        """The next transaction for a session; None if there is none, or no time."""
        program = None if self.late else next(source, None)
        if program is None:
            return None
        return self._recorder.begin(seat.process, program), self._client.transaction(program)

    def end(self, seat: Seat, entry: Entry, done: Done) -> None:
        """A transaction is over."""
        self._recorder.end(entry, done)
        if done.lost and not self.late:
            seat.renew()

    def look(self) -> bool:
        """Tell how far it is; whether the deadline has just come."""
        self._now(self._recorder.ended)
        if self.late or time.monotonic() < self._deadline:
            return False
        self.late = True
        return True

    @property
    def seats(self) -> Sequence[Seat]:
        """The sessions."""
        return self._seats


class _Polling:
    """One thread for all sessions."""

    def __init__(self, drive: Drive, source: Iterator[Program]) -> None:
        self._drive = drive
        self._source = source
        self._playing: dict[Seat, tuple[PollableSession, Entry, Dialogue]] = {}

    def run(self) -> None:
        for seat in self._drive.seats:
            self._take(seat)
        looked = time.monotonic()
        given_up = float("inf")
        while self._playing:
            self._answer(readable([one[0].fileno() for one in self._playing.values()], _LOOK))
            if (at := time.monotonic()) - looked < _LOOK:
                continue
            looked = at
            if self._drive.look():
                given_up = at + CANCEL_GRACE
            if at > given_up:
                return
            for session, _, _ in (
                self._playing.values() if self._drive.late else ()
            ):  # again and again: one may have gone on
                session.cancel()

    def _answer(self, ready: object) -> None:
        for seat, (session, entry, dialogue) in list(self._playing.items()):
            if session.fileno() in ready and (outcome := session.receive()) is not None:  # type: ignore[operator]
                try:
                    session.send(dialogue.send(outcome))
                except StopIteration as end:
                    del self._playing[seat]
                    self._drive.end(seat, entry, end.value)
                    self._take(seat)

    def _take(self, seat: Seat) -> None:
        if (begun := self._drive.begin(seat, self._source)) is None:
            return
        entry, dialogue = begun
        session = seat.session
        assert pollable(session)
        self._playing[seat] = (session, entry, dialogue)
        session.send(next(dialogue))


class _Threads:
    """A thread for each session."""

    def __init__(self, drive: Drive, source: Iterator[Program]) -> None:
        self._drive = drive
        self._source = source
        self._start = threading.Barrier(len(drive.seats))
        self._stop = threading.Event()
        self._failed: BaseException | None = None

    def run(self) -> None:
        threads = [
            threading.Thread(target=self._work, args=(seat,), name=f"workload {seat.process}", daemon=True)
            for seat in self._drive.seats
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and not self._stop.is_set():
                next(thread for thread in threads if thread.is_alive()).join(_LOOK)
                if self._drive.look():
                    break
        finally:  # also after Ctrl-C, or when a thread could not be started
            self._end([thread for thread in threads if thread.is_alive()])
        if self._failed is not None:
            raise self._failed

    def _end(self, threads: list[threading.Thread]) -> None:
        self._stop.set()
        self._start.abort()
        given_up = time.monotonic() + CANCEL_GRACE
        while threads and time.monotonic() < given_up:
            for seat in self._drive.seats:  # again and again: a session may have been between two statements
                seat.session.cancel()
            threads[0].join(0.1)
            threads = [thread for thread in threads if thread.is_alive()]

    def _work(self, seat: Seat) -> None:
        try:
            self._start.wait()
            while not self._stop.is_set() and (begun := self._drive.begin(seat, self._source)):
                entry, dialogue = begun
                self._drive.end(seat, entry, talk(seat.session, dialogue))
        except threading.BrokenBarrierError:
            return
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for the threads
            self._failed = self._failed or error
            self._stop.set()


def talk(session: Session, dialogue: Dialogue) -> Done:
    """One dialogue from its beginning to its end, in this thread."""
    statement = next(dialogue)
    while True:
        outcome = _outcome(session, statement)
        try:
            statement = dialogue.send(outcome)
        except StopIteration as end:
            done: Done = end.value
            return done


def _outcome(session: Session, statement: Statement) -> Outcome:
    try:
        return session.run(statement)
    except Exception as error:  # noqa: BLE001 - a driver's surprise ends the transaction, not the thread
        return surprised(error)
