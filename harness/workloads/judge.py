"""What a workload's history shows, held against what was expected of it."""

from __future__ import annotations

from harness.evidence.checker.levels import excluded
from harness.evidence.checker.model import Report
from harness.workloads.model import Expected


def mismatches(expected: Expected, report: Report) -> list[str]:
    """What is not as expected, a line each."""
    wrong = [f"expected to find {name}: it was not found" for name in expected.finds if name not in report.counts]
    for name, count in report.counts.items():
        if name in (*expected.finds, *expected.allows):
            continue
        times = f"{name}, {count}×" if count > 1 else name
        if not expected.level:
            wrong.append(f"found {times}: expected {expected.text}")
        elif expected.level in excluded([name]):
            wrong.append(f"found {times}, which {expected.level} does not allow")
    if not report.ok:
        wrong.append(f"nothing was committed: {report.failed} failed, of {report.info} nobody knows")
    return wrong
