"""``harness check history FILE…``: what histories show, be they Elle's, Jepsen's or a scenario's evidence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import HarnessError, ScenarioError, StoreError
from harness.terminal import console as make_console
from harness.terminal import progress, say, short

if TYPE_CHECKING:
    from harness.evidence.checker.model import Observed, Report, Workload

QUIET = 2.0
"""Seconds before progress is shown."""


def check_history(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="EDN, JSON or JSON lines in Elle's shape, or an evidence.json")
    ],
    workload: Annotated[
        str | None,
        typer.Option(help="list-append, rw-register, bank or counter; without: as its operations tell"),
    ] = None,
    process: Annotated[bool, typer.Option(help="a session's own order counts")] = True,
    realtime: Annotated[bool, typer.Option(help="what had ended before something else began came before it")] = False,
    level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="exit code 1 only if this level is excluded: 'serializable', …")
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="DIR", help="a picture of each anomaly that is told")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="a page of it, with the pictures")] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the history as .edn, .json or .jsonl in Elle's shape")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="what was found as JSON, a line for each file")] = False,
) -> None:
    """Check histories without any expectation: cycles, anomalies, the levels that they exclude, with proofs.

    Exit code 1 if something was found (with --level: if that level is excluded), 2 if a file is no history.
    """
    wanted = _workload(workload)
    forbidden = _level(level) if level is not None else None
    for option, target in (("--html", html), ("--export", export)):
        if target is not None and len(files) > 1:
            raise ScenarioError(f"{option} is of one history, and {len(files)} are given")
    console = make_console()
    bad = wrong = 0
    for number, file in enumerate(files):
        try:
            with progress(f"reading {file.name}", QUIET) as now:
                observed, report = _checked(file, wanted, process, realtime, now)
                if export is not None:
                    from harness.evidence.elle.write import write_history

                    write_history(observed, export, now)
                prefix = f"{file.stem}-" if len(files) > 1 else ""
                written = [] if svg is None else _pictures(svg, prefix, observed, report)
                if html is not None:
                    from harness.report.checked import report_html

                    _write(html, report_html(report, observed))
        except StoreError:
            raise
        except HarnessError as error:
            bad += 1
            print(f"harness: {error}", file=sys.stderr)
            continue
        wrong += not report.clean if forbidden is None else forbidden in report.excluded
        if json_:
            print(report.model_dump_json())
            continue
        from harness.report.checked import print_report

        if number:
            say(console, "")
        print_report(console, report)
        if forbidden is not None:
            out = forbidden in report.excluded
            say(console, f"{forbidden}: excluded by this history" if out else f"{forbidden}: nothing here excludes it")
        if export is not None:
            say(console, f"history: {short(export)}")
        if svg is not None:
            say(console, f"pictures: {', '.join(map(short, written)) or 'nothing was found that could be drawn'}")
        if html is not None:
            say(console, f"page: {short(html)}")
    raise typer.Exit(2 if bad else 1 if wrong else 0)


def _checked(
    file: Path, workload: Workload | None, process: bool, realtime: bool, now: Callable[[str], None]
) -> tuple[Observed, Report]:
    from harness.evidence.checker.check import check
    from harness.evidence.elle.read import read_file

    made = read_file(file, workload, now)
    report = check(made.observed, process=process, realtime=realtime, now=lambda said: now(f"{file.name}: {said}"))
    source = made.observed.source
    named = str(file) if source in ("", str(file)) else f"{file} ({source})"
    return made.observed, report.model_copy(update={"source": named, "notes": [*made.notes, *report.notes]})


def _workload(name: str | None) -> Workload | None:
    from harness.errors import did_you_mean
    from harness.evidence.checker.model import Workload

    if name is None:
        return None
    try:
        return Workload(name)
    except ValueError:
        known = [one.value for one in Workload]
        hint = did_you_mean(name, known)
        raise ScenarioError(f"there is no workload {name!r}{hint}; there are {', '.join(known)}") from None


def _level(name: str) -> str:
    from harness.evidence.checker.levels import level

    try:
        return level(name)
    except ValueError as error:
        raise ScenarioError(f"--level: {error}") from None


def _pictures(folder: Path, prefix: str, observed: Observed, report: Report) -> list[Path]:
    from harness.report.cycles import cycle_svg

    made = []
    for number, one in enumerate(report.found, 1):
        file = folder / f"{prefix}{number:02}-{''.join(c if c.isalnum() else '-' for c in one.name)}.svg"
        _write(file, cycle_svg(one, observed))
        made.append(file)
    return made


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror or error}") from None
