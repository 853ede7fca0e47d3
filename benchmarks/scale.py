"""What seeding, the ETL, load, scenarios and coherence take here, for the model of docs/scale.md.

    python3 run.py python benchmarks/scale.py [--only seed,etl,load,scenarios] [--rounds 2] [--tiny] [--out FILE]

Embedded servers, one after the other, under ten minutes. Seconds are the processors', of each process and its children, so
that others on the machine are in them as little as can be. Parts that were not asked for keep what was measured before.
``seed`` measures coherence, queries and Locust's ids too: all of them on the clients that it has made.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil
from scale_load import measure_load
from scale_seed import measure_etl, measure_seed
from scale_tools import Watch, tree_bytes

from harness.scale.measured import FILE, HopRound, Machine, Measured, Running, read, write
from harness.suite import PACKAGES, Settings, Suite

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("seed", "etl", "load", "scenarios")
PAGE = ROOT / "docs" / "scale.md"
PICTURE = ROOT / "docs" / "pictures" / "scale.svg"


def machine() -> Machine:
    from importlib import metadata

    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return Machine(
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        processors=os.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=versions,
        load_average=round(os.getloadavg()[0], 2),
    )


@contextlib.contextmanager
def suite_in(folder: Path) -> Iterator[Suite]:
    """A run whose results go into a folder that is thrown away; servers of its own, whatever is up."""
    suite = Suite(Settings(root=folder, results=folder, mode="embedded", environ={}))
    try:
        yield suite
    finally:
        suite.close()


def measure_scenarios(tiny: bool) -> list[Running]:
    """All of them in a process of its own: its memory is its own, too."""
    done = subprocess.run(
        [sys.executable, __file__, "--scenarios-child", *(["--tiny"] if tiny else [])],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [Running.model_validate_json(done.stdout.strip().splitlines()[-1])]


def scenarios_child(tiny: bool) -> Running:
    """Every case of the folder that can be run here."""
    from harness.errors import ServerUnavailable
    from harness.scenario.files import scenario_files
    from harness.scenario.kinds import Kind, kind_of

    folder = ROOT / "scenarios" / ("dirty_read" if tiny else "")
    with tempfile.TemporaryDirectory(prefix="scale-") as made, suite_in(Path(made)) as suite:
        found = [file for file in scenario_files([folder]) if kind_of(file) is Kind.scenario]
        every = [case for file in found for case in suite.cases(file) if not case.reason]
        suite.prefetch(every)
        targets = {name: suite.servers.target(name) for name in {d.logical for case in every for d in case.databases}}
        watch = Watch(targets)
        cases = 0
        for case in every:
            with contextlib.suppress(ServerUnavailable):
                suite.run(case)
                cases += 1
        spent = watch.stop()
        evidence = tree_bytes(suite.store.folder)
        page = suite.finish()
        return Running(
            cases=cases,
            wall=round(spent.wall, 3),
            own_cpu=round(spent.own, 3),
            server_cpu=round(sum(spent.servers.values()), 3),
            evidence=evidence,
            report=page.stat().st_size if page else 0,
            peak=spent.peak,
        )


def hop_of_page() -> list[HopRound]:
    """The real Hop's rounds, as docs/etl.md has them: measured by benchmarks/etl_delta.py."""
    lines = [line for line in (ROOT / "docs" / "etl.md").read_text("utf-8").splitlines() if line.startswith("|")]

    def cells(beginning: str) -> list[float]:
        row = next(line for line in lines if beginning in line).split("|")[2:4]
        return [float(cell.strip().strip("*").replace(",", "").removesuffix(" clients")) for cell in row]

    few = next(line for line in lines if "a delta of" in line)
    rows = int(few.partition("a delta of ")[2].partition(" rows read")[0].replace(",", ""))
    clients = [int(one) for one in cells("a delta of")]
    firsts, read_in_first, deltas = cells("the first round"), cells("rows that PromptCrm gave"), cells("whole command")
    said = "docs/etl.md, benchmarks/etl_delta.py"
    return [
        *(
            HopRound(clients=count, rows=int(n), seconds=s, first=True, source=said)
            for count, n, s in zip(clients, read_in_first, firsts, strict=True)
        ),
        *(
            HopRound(clients=count, rows=rows, seconds=s, first=False, source=said)
            for count, s in zip(clients, deltas, strict=True)
        ),
    ]


def measure(only: tuple[str, ...], rounds: int, tiny: bool, before: Measured | None) -> Measured:
    """All parts that are asked for; the others as they were."""
    parts: dict[str, object] = {} if before is None else {name: getattr(before, name) for name in Measured.model_fields}
    parts["machine"] = machine()
    parts["hop"] = hop_of_page()

    def told(name: str, begin: float) -> None:
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="scale-") as made:
        for name, work in _work(rounds, tiny, Path(made)).items():
            if name in only:
                begin = time.monotonic()
                parts |= work()
                told(name, begin)
    return Measured.model_validate(parts)


def _work(rounds: int, tiny: bool, folder: Path) -> Mapping[str, object]:
    sizes = (1_000, 2_000) if tiny else (50_000, 100_000, 200_000)
    largest = () if tiny else (500_000,)

    def seed() -> Mapping[str, object]:
        with suite_in(folder / "seed") as suite:
            return measure_seed(suite, (*sizes, *sizes[:-1] * (rounds - 1), *largest), tiny)

    def etl() -> Mapping[str, object]:
        with suite_in(folder / "etl") as suite:
            return measure_etl(suite, sizes if tiny else (25_000, 50_000, 100_000) * rounds, 100 if tiny else 2_000)

    def load() -> Mapping[str, object]:
        with suite_in(folder / "load") as suite:
            return measure_load(suite, (4, 8) if tiny else (20, 100, 300) * rounds, 2 if tiny else 12, kinds=not tiny)

    return {
        "seed": seed,
        "etl": etl,
        "load": load,
        "scenarios": lambda: {"running": [one for _ in range(rounds) for one in measure_scenarios(tiny)]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes: does it run? For no model")
    parser.add_argument("--out", type=Path, help="instead of harness/scale/measured.json; leaves the page alone")
    parser.add_argument("--no-table", action="store_true", help="leave docs/scale.md and its picture alone")
    parser.add_argument("--scenarios-child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.scenarios_child:
        print(scenarios_child(given.tiny).model_dump_json())
        return
    only = tuple(name.strip() for name in given.only.split(","))
    if unknown := [name for name in only if name not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}: {', '.join(PARTS)}")
    if given.tiny and not given.out:
        parser.error("--tiny is for no model: say where it goes with --out")
    out = given.out or FILE
    measured = measure(only, given.rounds, given.tiny, read(out) if out.exists() else None)
    write(measured, out)
    print(out)
    if not given.out and not given.no_table:
        from harness.scale.document import renew

        renew(PAGE, PICTURE)
        print(PAGE)


if __name__ == "__main__":
    main()
