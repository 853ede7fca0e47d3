"""What seeding takes, beside a bare COPY of the very same rows into the same tables.

    python3 run.py python benchmarks/seeding.py [full|medium] [--rounds 3] [--workers 2] [--table docs/seeding.md]

One PostgreSQL server holds PromptAds, PromptCrm and PromptSales. In each round, each time on empty tables with all their
indexes, constraints and triggers:

  seed      harness's seeder, with the start of its processes, the vectors of contents and a final ANALYZE
  copy      COPY … FROM 'file' (FORMAT binary), one connection, one table after the other; the server reads the files itself
  copy x N  the same with as many connections as the seeder has workers, each with its share of the ids

The files are written beforehand and not timed. What counts is the ratio of two times in the same round.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tables import renew

from fixtures.seed import Plan, plan_of, promptads, promptcrm, promptsales
from fixtures.seed.columns import Rows
from fixtures.seed.copy_binary import HEADER, TRAILER, copy_rows
from fixtures.seed.plan import FAMILY
from fixtures.seed.run import Place, Summary, seed
from harness.engines import engine
from harness.promptsales.cipher import Cipher, seed_key
from harness.schemas import PROMPTSALES, Wanted, apply, scripts
from harness.servers import open_servers
from harness.suite import new_run_id

DATABASES = ("promptads", "promptcrm", "promptsales")
POSTGRESQL = engine("postgresql")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one table in a file, and the columns they have."""

    logical: str
    table: str
    columns: tuple[str, ...]
    file: Path


def chunks(plan: Plan, logical: str, share: int, shares: int) -> Iterator[Rows]:
    """All that a database gets, of one share of the ids; what is there once is in the first share."""
    if logical == "promptads":
        yield from promptads.basis(plan) if share == 0 else ()
        for first, last in ranges(plan.campaigns, plan.range_campaigns, share, shares, 1):
            yield from promptads.chunk(plan, first, last)
        return
    if logical == "promptcrm":
        yield from promptcrm.basis(plan) if share == 0 else ()
        sealed = promptcrm.sealed_by(Cipher.of(promptcrm.KEY_VERSION, seed_key(plan.seed)))
        for first, last in ranges(plan.clients, plan.range_clients, share, shares, FAMILY):
            yield from promptcrm.chunk(plan, first, last, sealed)
        return
    if share == 0:
        yield from promptsales.basis(plan)
        yield from promptsales.campaign_chunk(plan, 1, plan.campaigns)
        yield from promptsales.content_chunk(plan, 1, plan.contents)
    sums = promptsales.client_sums(plan, 1, 0)
    for first, last in ranges(plan.clients, plan.range_clients, share, shares, FAMILY):
        yield from promptsales.client_chunk(plan, first, last)
    if share == 0:
        for first, last in ranges(plan.clients, plan.range_clients, 0, 1, FAMILY):
            sums.add(promptsales.client_sums(plan, first, last))
        yield from promptsales.month_rows(plan, sums)


def ranges(count: int, size: int, share: int, shares: int, unit: int) -> Iterator[tuple[int, int]]:
    """The ids of a share, cut into ranges."""
    units = -(-count // unit)
    begin, end = units * share // shares * unit, min(units * (share + 1) // shares * unit, count)
    for first in range(begin + 1, end + 1, size):
        yield first, min(first + size - 1, end)


def write_files(plan: Plan, folder: Path, shares: int) -> list[list[Part]]:
    """The files of each share, in the order in which they can be read."""
    made = []
    for share in range(shares):
        parts: dict[tuple[str, str], Part] = {}
        with ExitStack() as files:
            out: dict[tuple[str, str], Any] = {}
            for logical in DATABASES:
                for rows in chunks(plan, logical, share, shares):
                    key = (logical, rows.table)
                    if key not in out:
                        file = folder / f"{share}-{logical}-{rows.table}"
                        parts[key] = Part(logical, rows.table, tuple(rows.columns), file)
                        out[key] = files.enter_context(file.open("wb"))
                        out[key].write(HEADER)
                    out[key].write(copy_rows(rows))
            for file_ in out.values():
                file_.write(TRAILER)
        made.append(list(parts.values()))
    return made


class Server:
    """The server, and empty databases on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.admin = POSTGRESQL.admin(url, "seeding")
        self._number = 0

    def databases(self) -> dict[str, str]:
        """Three empty ones, with their schemas; the server at rest."""
        urls = {}
        self._number += 1
        for logical in DATABASES:
            name = f"psh_seeding_{self._number}_{logical}"
            self.admin.create(name, ())
            urls[logical] = POSTGRESQL.database_url(self.url, name)
            apply(POSTGRESQL, urls[logical], scripts(PROMPTSALES, logical, "postgresql", Wanted.empty, server=True))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return urls

    def drop(self) -> None:
        """Remove the three."""
        for logical in DATABASES:
            self.admin.drop(f"psh_seeding_{self._number}_{logical}")


def bare(urls: dict[str, str], shares: Sequence[Sequence[Part]]) -> float:
    """Read all files; a thread, and a connection to each database, for each share. Seconds."""
    with psycopg.connect(urls["promptcrm"]) as connection:
        connection.execute("INSERT INTO data_key (version, name, certificate_thumbprint) VALUES (1, 'seed', '')")
    # What all shares refer to is read before them, in both cases, and is little.
    once = {("promptads", "channel"), ("promptads", "audience"), ("promptcrm", "city"), ("promptcrm", "product")}
    last = {("promptsales", "campaign_month"), ("promptsales", "content_month")}
    problems: list[BaseException] = []

    def read(parts: Sequence[Part]) -> None:
        try:
            for logical in DATABASES:
                with psycopg.connect(urls[logical]) as connection:
                    connection.execute("SET promptsales.upkeep = 'off'")
                    for part in parts:
                        if part.logical == logical:
                            # Names and files of our own; COPY is a utility command and takes no parameters.
                            columns = ", ".join(part.columns)
                            connection.execute(f"COPY {part.table} ({columns}) FROM '{part.file}' (FORMAT binary)")
                            connection.commit()
        except BaseException as problem:
            problems.append(problem)
            raise

    begin = time.perf_counter()
    first = [part for part in shares[0] if (part.logical, part.table) in once]
    end = [part for part in shares[0] if (part.logical, part.table) in last]
    read(first)
    threads = [
        threading.Thread(target=read, args=([part for part in parts if part not in first + end],)) for parts in shares
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read(end)
    with psycopg.connect(urls["promptsales"]) as connection:
        connection.execute("SELECT rebuild_month_summary()")
    if problems:
        raise problems[0]
    return time.perf_counter() - begin


def seeded(urls: dict[str, str], plan: Plan, workers: int) -> tuple[float, Summary]:
    """Seconds of the seeder, and what it says."""
    begin = time.perf_counter()
    summary = seed({logical: Place("postgresql", url) for logical, url in urls.items()}, plan, workers=workers)
    return time.perf_counter() - begin, summary


def rows_in(urls: dict[str, str], parts: Sequence[Part]) -> dict[tuple[str, str], int]:
    counts = {}
    for part in parts:
        with psycopg.connect(urls[part.logical]) as connection:
            row = connection.execute(f"SELECT count(*) FROM {part.table}").fetchone()
            counts[part.logical, part.table] = int(row[0]) if row else 0
    return counts


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("size", nargs="?", default="full")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument(
        "--table", type=Path, help="a page whose table between <!-- seeding --> and <!-- end --> is renewed"
    )
    asked = options.parse_args()
    plan = plan_of(asked.size)
    servers = open_servers(
        "embedded", run_id=new_run_id(), owner_pid=os.getpid(), root=Path("/nonexistent"), environ={}
    )
    folder = Path(tempfile.mkdtemp(prefix="seeding-"))
    folder.chmod(0o755)  # the server reads here, as another user
    try:
        server = Server(servers.target("promptsales").url)
        whole = write_files(plan, folder, 1)
        shared = write_files(plan, _below(folder, "shares"), asked.workers)
        size = sum(part.file.stat().st_size for part in whole[0])
        print(f"{asked.size}: {size / 1e6:,.0f} MB of rows, {os.cpu_count()} processors, {asked.workers} workers")
        times: dict[str, list[float]] = {"seed": [], "copy": [], f"copy x {asked.workers}": []}
        counts: dict[str, dict[tuple[str, str], int]] = {}
        summary = Summary()
        for number in range(asked.rounds):
            for name in list(times)[number % 3 :] + list(times)[: number % 3]:
                urls = server.databases()
                if name == "seed":
                    seconds, summary = seeded(urls, plan, asked.workers)
                else:
                    seconds = bare(urls, whole if name == "copy" else shared)
                times[name].append(seconds)
                counts[name] = rows_in(urls, whole[0])
                server.drop()
                print(f"round {number + 1}: {name:10} {seconds:7.1f} s", flush=True)
        assert len({str(sorted(found.items())) for found in counts.values()}) == 1, "not the same rows"
        lines = report(times, sum(counts["seed"].values()), summary)
        print("\n".join(lines))
        if asked.table:
            renew(asked.table, "seeding", "\n".join(lines))
    finally:
        shutil.rmtree(folder)
        servers.stop()


def _below(folder: Path, name: str) -> Path:
    below = folder / name
    below.mkdir(mode=0o755)
    return below


def report(times: dict[str, list[float]], rows: int, summary: Summary) -> list[str]:
    """A table of times and ratios within rounds; memory; where the time goes."""
    named = {
        "seed": "the seeder",
        "copy": "bare `COPY` from files, one connection",
    }
    lines = [
        f"{rows:,} rows of three databases, {os.cpu_count()} processors:",
        "",
        "| | seconds, median (min to max) | rows/s | the seeder's time divided by this one's |",
        "|---|---|---|---|",
    ]
    for name, seconds in times.items():
        median = statistics.median(seconds)
        ratios = [ours / theirs for ours, theirs in zip(times["seed"], seconds, strict=True)]
        ratio = (
            "" if name == "seed" else f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        shown = named.get(name, f"bare `COPY` from files, {name.split()[-1]} connections side by side")
        spread = f"{median:.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
        lines.append(f"| {shown} | {spread} | {rows / median:,.0f} | {ratio} |")
    peak = max(summary.peaks.values()) / 1e6
    total = {
        phase: sum(getattr(spent, phase) for spent in summary.spent.values())
        for phase in ("generate", "encrypt", "encode", "send")
    }
    return [
        *lines,
        "",
        f"Memory: at most {peak:.0f} MB in each of {len(summary.peaks)} processes. Seconds of the workers, together: "
        f"generate {total['generate']:.1f}, encrypt and hash {total['encrypt']:.1f}, encode {total['encode']:.1f}, "
        f"write and wait for the server {total['send']:.1f}.",
    ]


if __name__ == "__main__":
    main()
