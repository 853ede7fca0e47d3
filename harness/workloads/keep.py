"""A workload's history, what was found in it and its pictures, in the run's folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from harness.errors import StoreError
from harness.evidence.checker.model import Observed, Report
from harness.evidence.store import folder_name
from harness.history import Record
from harness.suite import Beside, Suite
from harness.workloads.result import CHECK, FILE, HISTORY, PAGE, SCENARIO, WorkloadResult

KIND = "workloads"


class Bundle(Record):
    """All of it as it travels from another machine; the pictures beside it."""

    result: WorkloadResult
    report: Report
    history: str
    page: str
    scenario: str = ""


def keep(
    suite: Suite, result: WorkloadResult, report: Report, observed: Observed, scenario: str = ""
) -> tuple[Path, WorkloadResult]:
    """Write it down, with the ``scenario`` of what was found; gives workload.json's path, and the result as it is kept.

    Raises StoreError.
    """
    from harness.evidence.elle.write import write_history
    from harness.report.checked import report_html
    from harness.report.cycles import cycle_svg

    cycles = [found for found in report.found if found.cycle]
    pictures = {f"cycle-{number}.svg": cycle_svg(found, observed) for number, found in enumerate(cycles, 1)}
    folder = suite.open_results()
    own = _own_folder(folder, result.id)
    try:
        write_history(observed, own / HISTORY)
        history = (own / HISTORY).read_text(encoding="utf-8") if suite.settings.away else ""
        page = report_html(report, observed)
        path, kept = _write(own, result, report, pictures, page, scenario)
    except OSError as error:
        shutil.rmtree(own, ignore_errors=True)  # half of it is none
        raise _unwritable(folder, error) from None
    if suite.settings.away:
        bundle = Bundle(result=kept, report=report, history=history, page=page, scenario=scenario)
        suite.carry(Beside(KIND, path, bundle.model_dump_json(exclude_defaults=True), pictures))
    return path, kept


def keep_bundle(suite: Suite, bundle: Bundle, pictures: Mapping[str, str]) -> Path:
    """Keep what another machine sent. Raises StoreError."""
    folder = suite.open_results()
    own = _own_folder(folder, bundle.result.id)
    try:
        (own / HISTORY).write_text(bundle.history, encoding="utf-8")
        return _write(own, bundle.result, bundle.report, pictures, bundle.page, bundle.scenario)[0]
    except OSError as error:
        shutil.rmtree(own, ignore_errors=True)
        raise _unwritable(folder, error) from None


def _write(
    own: Path, result: WorkloadResult, report: Report, pictures: Mapping[str, str], page: str, scenario: str
) -> tuple[Path, WorkloadResult]:
    update = {"folder": own.name, "pictures": list(pictures), "scenario": SCENARIO if scenario else ""}
    kept = result.model_copy(update=update)
    files = {
        **pictures,
        **({SCENARIO: scenario} if scenario else {}),
        PAGE: page,
        CHECK: report.model_dump_json(indent=1, exclude_defaults=True),
        FILE: kept.model_dump_json(indent=1, exclude_defaults=True),
    }
    for name, text in files.items():
        (own / name).write_text(text, encoding="utf-8")
    return own / FILE, kept


def _own_folder(run_folder: Path, name: str) -> Path:
    """A folder that nobody else has, as a workload may be run twice: ``NAME``, ``NAME-2`` and so on. Raises StoreError."""
    wanted = run_folder / folder_name(name)
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
        except OSError as error:
            raise _unwritable(run_folder, error) from None
    raise AssertionError("unreachable")


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"{folder}: the workload cannot be kept: {error.strerror or error}")
