"""What checking a history takes: seconds for 12,500 to 100,000 transactions, and how that grows.

    python3 run.py python benchmarks/checker.py [--workload list-append] [--store serial] [--sizes 12500,25000,50000,100000]
                                                [--realtime] [--rounds 3] [--table docs/exploring.md]

Histories are of a simulated store (tests/evidence/checker/simulated.py): ten sessions at once, ten objects at a time (lists
are left for new ones after some twenty appends), one to six operations in a transaction, six in a hundred fail and as many
have an unknown end. ``--store snapshot`` and ``--store "read committed"`` show write skew, and nearly all there is. Seconds
are this process's own on the processor, the least of the rounds, so that others on the machine are not in them; making the
history is not counted.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path

from tables import renew

from harness.evidence.checker.check import check
from harness.evidence.checker.model import Observed, Report, Workload

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "evidence" / "checker"))

from simulated import COMMITTED, SERIAL, SNAPSHOT, simulate  # noqa: E402

SIZES = (12_500, 25_000, 50_000, 100_000)


def history(workload: Workload, store: str, transactions: int) -> Observed:
    fresh = 20 if workload is Workload.list_append else 0
    return simulate(workload, store, transactions, 1, sessions=10, keys=10, longest=6, fresh=fresh)


def measure(observed: Observed, *, realtime: bool, rounds: int) -> tuple[float, Report]:
    """The least seconds of some rounds, and what was found."""
    least, report = float("inf"), None
    for _ in range(rounds):
        gc.collect()
        begun = time.process_time()
        report = check(observed, realtime=realtime)
        least = min(least, time.process_time() - begun)
    assert report
    return least, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=[one.value for one in Workload], default=Workload.list_append.value)
    parser.add_argument("--store", choices=[SERIAL, SNAPSHOT, COMMITTED], default=SERIAL)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=list(SIZES))
    parser.add_argument("--realtime", action="store_true", help="real-time order, too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--table", type=Path, help="a page whose table <!-- checker --> is renewed")
    options = parser.parse_args()
    lines = [
        "| transactions | operations | dependencies | found | seconds | per thousand | to the smallest |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    print("\n".join(lines), flush=True)
    smallest = 0.0
    for size in options.sizes:
        observed = history(Workload(options.workload), options.store, size)
        seconds, report = measure(observed, realtime=options.realtime, rounds=options.rounds)
        smallest = smallest or seconds
        lines.append(
            f"| {size:,} | {report.operations:,} | {sum(report.edges.values()):,} | {sum(report.counts.values()):,} |"
            f" {seconds:.2f} | {1000 * seconds / size:.4f} | {seconds / smallest:.1f} |"
        )
        print(lines[-1], flush=True)
    if options.table:
        renew(options.table, "checker", "\n".join(lines))


if __name__ == "__main__":
    main()
