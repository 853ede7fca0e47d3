"""A run's whole report: reads what its folder holds, compares it with the run before, draws the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import StoreError
from harness.etl.kept import read_records
from harness.evidence.model import Evidence
from harness.load.result import read_results
from harness.monitor.series import read_series
from harness.plans.store import read_pairs
from harness.report.compare import compare, previous
from harness.report.explorations import read_explorations
from harness.report.page import Extras, numbers, report_html
from harness.workloads.result import read_results as read_workloads

Kept = TypeVar("Kept")


def whole_report(
    folder: Path,
    run: Mapping[str, Any],
    evidences: Sequence[Evidence],
    pictures: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The page of the run in ``folder`` with its plans, its load, its monitor's series, and what differs from the run
    before. What cannot be read of these is said on the page: a run has its report even so."""
    extras = Extras(folder)
    extras.pairs = _read(lambda: read_pairs(folder), [], extras)
    extras.loads = _read(lambda: read_results(folder), [], extras)
    extras.series = _read(lambda: read_series(folder), [], extras)
    extras.etl = _read(lambda: read_records(folder), [], extras)
    extras.explorations = _read(lambda: read_explorations(folder), [], extras)
    extras.workloads = _read(lambda: read_workloads(folder), [], extras)
    if extras.etl and not (run.get("cases") or extras.pairs or extras.loads or extras.workloads):
        return report_html(run, evidences, pictures, extras)  # nothing that another run could have had too
    extras.before = _read(lambda: previous(folder), None, extras)
    if extras.before is not None:
        before = extras.before
        extras.changes = _read(lambda: compare(before, folder, numbers(run, evidences)), None, extras)
    return report_html(run, evidences, pictures, extras)


def _read(what: Callable[[], Kept], otherwise: Kept, extras: Extras) -> Kept:
    try:
        return what()
    except StoreError as error:
        extras.problems.append(str(error))
    except (OSError, ValueError, LookupError, TypeError) as error:  # the monitor's files
        extras.problems.append(f"{extras.folder}: what was kept beside the cases cannot be read: {error}")
    return otherwise
