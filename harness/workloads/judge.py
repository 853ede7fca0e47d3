"""What a workload's history shows, held against what was expected of it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.checker.levels import excluded
from harness.evidence.checker.model import Report
from harness.workloads.model import ANYTHING, Expected


def mismatches(expected: Expected, report: Report) -> list[str]:
    """What is not as expected, a line each."""
    wrong = [f"expected to find {name}: it was not found" for name in expected.finds if name not in report.counts]
    for name in unexpected(expected, report):
        times = f"{name}, {report.counts[name]}×" if report.counts[name] > 1 else name
        if expected.level:
            wrong.append(f"found {times}, which {expected.level} does not allow")
        else:
            wrong.append(f"found {times}: expected {expected.text}")
    level = expected.level
    if level in report.excluded and not any(level in excluded([name]) for name in report.counts):
        wrong.append(f"what was found excludes {level}")  # seen together, not by the name of a single anomaly
    if not report.ok:
        wrong.append(f"nothing was committed: {report.failed} failed, of {report.info} nobody knows")
    return wrong


def unexpected(expected: Expected, report: Report) -> Iterator[str]:
    """The anomalies that should not be there."""
    for name in report.counts:
        if name in expected.finds or name in expected.allows or ANYTHING in expected.allows:
            continue
        if not expected.level or expected.level in excluded([name]):
            yield name


def telling(expected: Expected | None, report: Report) -> Report:
    """The report with one example of each anomaly that should not be there; of each one if all were expected."""
    names = list(unexpected(expected, report)) if expected is not None else []
    names = names or list(report.counts)
    first = {name: next((one for one in report.found if one.name == name), None) for name in names}
    return report.model_copy(update={"found": [one for one in first.values() if one is not None]})
