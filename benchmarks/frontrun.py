"""The same programs explored by Frontrun and by the harness, in turn, on one PostgreSQL.

    python3 run.py python benchmarks/frontrun.py --python VENV/bin/python [--rounds 5] [--table docs/exploring.md]

``--python`` is a Python that has frontrun and psycopg2 (a virtual environment of its own: nothing of the harness is needed
in it). Whole processes are timed, from start to end: ``frontrun python``, which runs each program's threads in every
interleaving that its DPOR thinks different (``stop_on_first=False, preemption_bound=None``), with nothing replayed; and on
docs/examples/explore/frontrun_NAME.yaml ``harness run`` (``schedule: all`` and ``reduced``) and ``harness explore``, which
also keep evidence of each interleaving and draw the report. Columns tell how many interleavings each ran, and in how many it
saw the bug. What counts is the ratio of the two in the same round. Without frontrun it says so in one line, and ends well.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "docs/examples/explore"
RESULT = "explored: "


@dataclass(frozen=True, slots=True)
class Timing:
    """One exploration: seconds of the process, interleavings run, and those in which the bug was seen."""

    seconds: float
    explored: int
    bad: int


# What Frontrun explores. Its Python runs this file as a script (see _child): nothing of the harness is imported for it.

USERS = (
    "DROP TABLE IF EXISTS users",
    "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, login_count int NOT NULL)",
    "INSERT INTO users VALUES (1, 'Alice', 0), (2, 'Bob', 0)",
)
DOCTORS = (
    "DROP TABLE IF EXISTS doctor",
    "CREATE TABLE doctor (id int PRIMARY KEY, on_call int NOT NULL)",
    "INSERT INTO doctor VALUES (1, 1), (2, 1)",
)
KEYS = ("DROP TABLE IF EXISTS key", "CREATE TABLE key (id text PRIMARY KEY, value text)")
INSERT = "INSERT INTO key VALUES (%s, '1') ON CONFLICT DO NOTHING RETURNING id"

Work = Callable[[Any], None]  # given a cursor, inside a transaction that is committed after


@dataclass(frozen=True, slots=True)
class Program:
    """Tables, what is done before each interleaving, the threads' work, and what must be true in the end."""

    tables: Sequence[str]
    reset: Sequence[str]
    works: Sequence[Work]
    holds: str = "SELECT true"
    level: str = "READ COMMITTED"


def _login(cursor: Any) -> None:
    cursor.execute("SELECT login_count FROM users WHERE id = %s", (1,))
    count = cursor.fetchone()[0]
    cursor.execute("UPDATE users SET login_count = %s WHERE id = %s", (count + 1, 1))


def _go_home(doctor: int) -> Work:
    def work(cursor: Any) -> None:
        cursor.execute("SELECT sum(on_call) FROM doctor WHERE id IN (1, 2)")
        if cursor.fetchone()[0] >= 2:
            cursor.execute("UPDATE doctor SET on_call = 0 WHERE id = %s", (doctor,))

    return work


def _both(statement: str, values: Iterable[Any]) -> Work:
    def work(cursor: Any) -> None:
        for value in values:
            cursor.execute(statement, (value,))

    return work


def _crossed(statement: str, one: Any, other: Any) -> list[Work]:
    return [_both(statement, (one, other)), _both(statement, (other, one))]


PROGRAMS: Mapping[str, Program] = {
    "counter": Program(
        USERS,
        ["UPDATE users SET login_count = 0"],
        [_login, _login],
        "SELECT login_count = 2 FROM users WHERE id = 1",
    ),
    "write_skew": Program(
        DOCTORS,
        ["UPDATE doctor SET on_call = 1"],
        [_go_home(1), _go_home(2)],
        "SELECT sum(on_call) >= 1 FROM doctor",
        "REPEATABLE READ",
    ),
    "row_locks": Program(USERS, [], _crossed("SELECT id FROM users WHERE id = %s FOR UPDATE", 1, 2)),
    "unique_index": Program(KEYS, ["DELETE FROM key"], _crossed(INSERT, "a", "b")),
    "advisory_locks": Program((), [], _crossed("SELECT pg_advisory_xact_lock(%s)", 1, 2)),
}


def _child(name: str, url: str) -> None:
    """Explore one program; ends in one line of JSON."""
    frontrun: Any = import_module("frontrun")  # by its name: a checker takes this very file for it
    psycopg2: Any = import_module("psycopg2")
    program = PROGRAMS[name]

    def run(statements: Sequence[str]) -> Any:
        connection = psycopg2.connect(url)
        connection.autocommit = True
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        connection.close()
        return row

    def worker(work: Work) -> Callable[[Any], None]:
        def thread(_: Any) -> None:
            connection = psycopg2.connect(url)
            connection.set_session(isolation_level=program.level)
            try:
                work(connection.cursor())
                connection.commit()
            finally:
                connection.close()

        return thread

    run(program.tables)
    found = frontrun.explore(
        setup=lambda: run(program.reset),
        workers=[worker(work) for work in program.works],
        invariant=lambda _: run([program.holds])[0],
        stop_on_first=False,
        preemption_bound=None,
        reproduce_on_failure=0,
        deadlock_timeout=15.0,
    )
    print(RESULT + json.dumps([found.num_explored, len(found.failures), found.property_holds]))


class Bench:
    """A server that both use, and a folder for what they leave."""

    def __init__(self, url: str, python: Path, folder: Path) -> None:
        self.url = url
        self.python = python
        self.folder = folder

    def frontrun(self, name: str) -> Timing:
        """frontrun python: the program's threads."""
        command = [self.python.parent / "frontrun", self.python, "-P", __file__, "--explore", name, self.url]
        seconds, text = self._time([str(part) for part in command], {})
        found = re.search(rf"^{RESULT}(.+)$", text, re.MULTILINE)
        if not found:
            raise SystemExit(f"frontrun did not end its exploration of {name}:\n{text[-3000:]}")
        explored, bad, _ = json.loads(found[1])
        return Timing(seconds, explored, bad)

    def harness(self, name: str, kind: str) -> Timing:
        """harness run: the scenario's steps, in all interleavings or the reduced ones."""
        written = (EXAMPLES / f"frontrun_{name}.yaml").read_text("utf-8")
        file = self.folder / f"{name}_{kind}.yaml"
        file.write_text(re.sub(r"^schedule: .*$", f"schedule: {kind}", written, flags=re.MULTILINE), "utf-8")
        seconds, text = self._harness("run", "-q", str(file))
        lines = re.findall(r"^([✓✗]) ", text, re.MULTILINE)
        if not lines:
            raise SystemExit(f"harness run did not end with {name}:\n{text[-3000:]}")
        return Timing(seconds, len(lines), lines.count("✗"))

    def explore(self, name: str) -> Timing:
        """harness explore: the reduced ones, by what the server tells of the steps, too; not the smallest failing one."""
        seconds, text = self._harness("explore", "--no-shrink", str(EXAMPLES / f"frontrun_{name}.yaml"))
        ran, failing = re.search(r"(\d+) run", text), re.search(r"^(\d+) failing", text, re.MULTILINE)
        if not ran:
            raise SystemExit(f"harness explore did not end with {name}:\n{text[-3000:]}")
        return Timing(seconds, int(ran[1]), int(failing[1]) if failing else 0)

    def _harness(self, *words: str) -> tuple[float, str]:
        results = tempfile.mkdtemp(dir=self.folder)
        command = [sys.executable, "-m", "harness.cli", words[0], "--servers", "external", "--results", results]
        return self._time([*command, *words[1:]], {"PROMPTSALES_URL": self.url})

    def _time(self, command: Sequence[str], environ: Mapping[str, str]) -> tuple[float, str]:
        began = time.perf_counter()
        done = subprocess.run(
            command, env=os.environ | environ, cwd=self.folder, capture_output=True, text=True, check=False
        )
        return time.perf_counter() - began, done.stdout + done.stderr


def _has_frontrun(python: Path) -> bool:
    if not (python.parent / "frontrun").exists():
        return False
    look = [str(python), "-P", "-c", "import frontrun, psycopg2"]
    return subprocess.run(look, capture_output=True, cwd=tempfile.gettempdir(), check=False).returncode == 0


def _runs(timings: Sequence[Timing]) -> str:
    """How many interleavings: one number, or from which to which, since Frontrun's differs between its runs."""
    texts = []
    for values in ([timing.explored for timing in timings], [timing.bad for timing in timings]):
        texts.append(f"{min(values)}" if min(values) == max(values) else f"{min(values)}-{max(values)}")
    return f"{texts[0]}, {texts[1]}"


def table(measured: Mapping[str, Mapping[str, Sequence[Timing]]]) -> list[str]:
    """Markdown: by program, interleavings and those with the bug, seconds, and ratios to Frontrun."""
    rounds = len(next(iter(measured.values()))["Frontrun"])
    lines = [
        f"{rounds} rounds, whole processes, medians; a ratio below 1 means that the harness is faster.",
        "",
        "| program | | interleavings run, with the bug | seconds | ratio to Frontrun (min to max) |",
        "|---|---|---|---|---|",
    ]
    for name, by_tool in measured.items():
        theirs = by_tool["Frontrun"]
        for what, timings in by_tool.items():
            ratios = [timing.seconds / other.seconds for timing, other in zip(timings, theirs, strict=True)]
            seconds = statistics.median(timing.seconds for timing in timings)
            ratio = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
            lines.append(f"| {name} | {what} | {_runs(timings)} | {seconds:.2f} | {ratio} |")
    return lines


def main() -> None:
    """Measure and print; ``--table FILE`` also puts the table between FILE's marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="one that has frontrun and psycopg2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, metavar="FILE")
    parser.add_argument("--explore", nargs=2, metavar=("NAME", "URL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.explore:
        _child(*given.explore)
        return
    python = given.python.absolute()
    if not _has_frontrun(python):
        print(f"skipped: {python} has no frontrun and psycopg2; pip install 'frontrun[sql]' psycopg2-binary")
        return
    from harness.servers import open_servers
    from harness.suite import new_run_id

    measured: dict[str, dict[str, list[Timing]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        servers = open_servers(
            "embedded", run_id=new_run_id(), owner_pid=os.getpid(), root=Path(folder), environ=os.environ
        )
        try:
            url = servers.target("promptsales").url
            bench = Bench(url, python, Path(folder))
            tools: dict[str, Callable[[str], Timing]] = {
                "Frontrun": bench.frontrun,
                "`schedule: all`": lambda name: bench.harness(name, "all"),
                "`schedule: reduced`": lambda name: bench.harness(name, "reduced"),
                "`harness explore`": bench.explore,
            }
            for tool in tools.values():
                tool("counter")  # files read once, byte code compiled
            for name in PROGRAMS:
                timed = measured.setdefault(name, {what: [] for what in tools})
                for number in range(1, given.rounds + 1):
                    for what, tool in tools.items():
                        timed[what].append(tool(name))
                    times = ", ".join(f"{what} {timings[-1].seconds:.2f} s" for what, timings in timed.items())
                    print(f"{name}, round {number}: {times}", file=sys.stderr)
        finally:
            servers.stop()
    lines = table(measured)
    print("\n".join(lines))
    if given.table:
        from tables import renew

        renew(given.table, "frontrun", "\n".join(lines))


if __name__ == "__main__":
    main()
