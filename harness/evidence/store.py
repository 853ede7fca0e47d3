"""``results/``: what runs leave behind, and how it is read again.

    results/<run>/run.json                  versions, hosts, options, every case with its verdict
    results/<run>/<case>/evidence.json      one Evidence (evidence.schema.json describes it)
    results/<run>/.cases-<pid>.jsonl        while the run lasts: each case's entry in run.json
    results/<run>/<case>/deadlock/…         the engine's own reports
    results/<run>/<spec>/p07.evidence.json  of a specification: its permutations have one folder
    results/latest -> <run>

Several processes write into one run (pytest-xdist). Each evidence has a folder that no other one has, even if the same
case is run twice; the owner of the run gathers the entries of all into ``run.json`` at the end.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from harness.errors import StoreError
from harness.evidence.model import Evidence
from harness.history import History

_LINES = ".cases-"

MOST_TOLD = 40
"""Permutations of specifications that a report tells in full because they did not pass; all others it lists."""

EVIDENCE = "evidence.json"

LONGEST_NAME = 120
"""Of a case's folder: some file systems take no more than 143 bytes, and a name may be numbered."""


def folder_name(case: str) -> str:
    """A case's id as a folder's name that every file system takes: ``cascade@promptsales-postgresql-…``."""
    name = re.sub(r"[^A-Za-z0-9_.+@-]+", "-", case.replace("@", "-").replace("[", "@", 1)).strip("-.")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(case.encode()).hexdigest()[:8]}"


class Store:
    """One run's folder. All methods raise StoreError in one line if the disk says no."""

    def __init__(self, root: Path, run: str) -> None:
        self.root = root
        self.run = run
        self.folder = root / run
        self._lines: TextIO | None = None
        self._shared: dict[tuple[str, str], tuple[Path, set[str]]] = {}  # of specifications: folder, schedules in it

    def open(self) -> None:
        """Make the folder and point ``latest`` to it."""
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh = self.root / f".latest-{os.getpid()}"
            fresh.unlink(missing_ok=True)
            try:
                fresh.symlink_to(self.run, target_is_directory=True)
                fresh.replace(self.root / "latest")
            except OSError:  # a file system or a Windows account without links: say it in a file
                fresh.unlink(missing_ok=True)
                _write(self.root / "latest.txt", self.run)

    def keep(self, evidence: Evidence, pictures: Mapping[str, str], seconds: float, began: float | None = None) -> Path:
        """Write a case's folder: the evidence, the pictures (file name → text), the engines' reports. Returns its path.

        ``began``: seconds since 1970 by the clock of the run's owner, where that is known. If the disk says no, the folder
        is taken away again: half a case is none.
        """
        with _told(self.folder):
            if is_permutation(evidence):
                folder, stem = self._specification_folder(evidence.history), f"{evidence.history.schedule}."
            else:
                folder, stem = self._new_folder(folder_name(evidence.history.case)), ""
            written: list[Path] = []
            try:
                for name, text in _contents(evidence, pictures).items():
                    written.append(folder / f"{stem}{name}")
                    if "/" in name:
                        written[-1].parent.mkdir(exist_ok=True)
                    _write(written[-1], text)
                line = _line(evidence, folder.name, seconds, [*pictures])
                self._add_line(line if began is None else line | {"began": round(began, 3)})
            except OSError:
                for path in written:
                    path.unlink(missing_ok=True)
                if not stem:
                    shutil.rmtree(folder, ignore_errors=True)
                raise
        return written[0]

    def _specification_folder(self, history: History) -> Path:
        """The folder that a specification's permutations have together: making one for each takes longer than all else."""
        name = folder_name(f"{history.case.removesuffix(f'-{history.schedule}]')}]")
        folder, schedules = self._shared.get((history.file, name), (None, set()))
        if folder is None or history.schedule in schedules:  # the first one, or run once more
            folder, schedules = self._shared[history.file, name] = self._new_folder(name), set()
        schedules.add(history.schedule)
        return folder

    def _new_folder(self, name: str) -> Path:
        """A folder that nobody else has: ``name``, or ``name-2`` and so on if the case was run before."""
        for number in count(1):
            folder = self.folder / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            except FileNotFoundError:
                folder.mkdir(parents=True)
            return folder
        raise AssertionError("unreachable")

    def _add_line(self, line: Mapping[str, Any]) -> None:
        """Add a case's entry to this process's own file: appending one line is whole or not at all."""
        if self._lines is None:
            self._lines = (self.folder / f"{_LINES}{os.getpid()}.jsonl").open("a", encoding="utf-8")
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def close(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Gather the cases into ``run.json``; ``facts`` are the run's own (started, seconds, versions, hosts, options)."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None
        files = sorted(self.folder.glob(f"{_LINES}*.jsonl"))
        lines = [line for file in files for line in _whole_lines(file)]
        run = {"run": self.run, **facts, "cases": sorted(lines, key=lambda line: (line["file"], line["id"]))}
        with _told(self.folder):
            _write(self.folder / "run.json", json.dumps(run, indent=1, default=str))
            for file in files:
                file.unlink()
        return run

    def write(self, name: str, text: str) -> Path:
        """Write a file of the run."""
        path = self.folder / name
        with _told(path):
            _write(path, text)
        return path


def _whole_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The entries of a file; a process that was killed may have left its last one unfinished."""
    for line in _text(file).splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def is_permutation(evidence: Evidence) -> bool:
    """Whether it is one of a specification's many cases: those are listed, and told one by one only where asked for."""
    return "output" in evidence.expectation


def prefix(line: Mapping[str, Any]) -> str:
    """What the names of a case's files begin with, seen from the run's folder: ``FOLDER/``, or ``FOLDER/p07.``."""
    permutation = line.get("permutation")
    return f"{line['folder']}/{permutation['schedule']}." if permutation else f"{line['folder']}/"


def _contents(evidence: Evidence, pictures: Mapping[str, str]) -> dict[str, str]:
    """A case's files, the evidence first: name → text."""
    files = {EVIDENCE: evidence.model_dump_json(indent=1, exclude_defaults=True), **pictures}
    for number, report in enumerate(evidence.history.reports, 1):
        suffix = "xml" if report.text.lstrip().startswith("<") else "log"
        name = f"{folder_name(report.database)}-{number}.{suffix}"  # it may come from another machine
        files[f"deadlock-{name}" if is_permutation(evidence) else f"deadlock/{name}"] = report.text
    for plan in evidence.history.plans:
        if plan.text:
            name = folder_name(f"{plan.session}-{plan.step}{f'-{plan.attempt}' if plan.attempt > 1 else ''}")
            number = next(
                number for number in count(1) if f"plans/{_numbered(name, number)}.{plan.format}" not in files
            )
            files[f"plans/{_numbered(name, number)}.{plan.format}"] = plan.text
    return files


def _numbered(name: str, number: int) -> str:
    """``name``, ``name-2``: a step may have several statements, each with a plan."""
    return name if number == 1 else f"{name}-{number}"


def _line(evidence: Evidence, folder: str, seconds: float, pictures: Sequence[str]) -> dict[str, Any]:
    history, verdict = evidence.history, evidence.verdict
    line: dict[str, Any] = {
        "id": history.case,
        "file": history.file,
        "title": history.title,
        "engine": history.engine,
        "level": history.level,
        "seed": history.seed,
        "stand_in": any(database.stand_in for database in history.databases),
        "status": verdict.status.value,
        "summary": verdict.summary,
        "found": [one.value for one in verdict.phenomena],
        "victim": next((one.victim for one in verdict.deadlocks if one.victim), ""),
        "folder": folder,
        "seconds": round(seconds, 3),
    }
    if is_permutation(evidence):
        line["permutation"] = {"schedule": history.schedule, "pictures": list(pictures)}
    return line


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a reader never sees half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = "free some space, or give" if error.errno in _FULL else "give"
        reason = error.strerror or str(error)
        raise StoreError(
            f"results cannot be written to {path}: {reason}; {what} another folder by --results=DIR"
        ) from None


def find_run(root: Path, name: str = "latest") -> Path:
    """The folder of a run: a path, a run's id, or ``latest``. Raises StoreError if there is none."""
    try:
        for candidate in (root / name, Path(name)):
            if _holds_a_run(candidate):
                return candidate.resolve()
        pointer = root / "latest.txt"
        if name == "latest" and pointer.is_file():
            pointed = root / pointer.read_text(encoding="utf-8").strip()
            if _holds_a_run(pointed):
                return pointed.resolve()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{root} cannot be read: {error}") from None
    raise StoreError(f"no run {name!r} in {root}: run some scenarios first (pytest, or 'harness run')")


def _holds_a_run(folder: Path) -> bool:
    return (folder / "run.json").is_file() or any(folder.glob(f"*/*{EVIDENCE}"))


def read_evidence(path: Path) -> Evidence:
    """Read an ``evidence.json`` (or the folder that holds it). Raises StoreError."""
    file = path / EVIDENCE if path.is_dir() else path
    try:
        return Evidence.model_validate_json(_text(file))
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = f"{where}: {first['msg']}" if where else first["msg"]
        raise StoreError(f"{file} is no evidence of this version: {said}") from None


def read_run(folder: Path, *, permutations: bool = True) -> tuple[dict[str, Any], list[Evidence]]:
    """A run's ``run.json`` (only its name if the run was cut off) and all its evidence, in the order of its cases.

    A specification's permutations, of which there may be thousands, have their lines in ``run["cases"]`` even if the
    run was cut off. Unless ``permutations`` are asked for, their evidence is left alone, but for those that did not pass
    (:func:`in_full`) and for one of each database, which says where all of them ran.

    Raises StoreError.
    """
    file = folder / "run.json"
    run: dict[str, Any] = _json(file) if file.is_file() else {"run": folder.name}
    lines = [*run.get("cases", [])] if file.is_file() else _unfinished(folder)
    many = [line for line in lines if line.get("permutation")]
    told = {prefix(line) for line in (many if permutations else in_full(many))}
    witnesses = {_place(line): prefix(line) for line in reversed(many)}.values()
    left = {prefix(line) for line in many} - told
    known = {prefix(line) for line in lines if "folder" in line}
    evidences, unlisted = [], []
    for path in sorted(folder.glob(f"*/*{EVIDENCE}")):
        stem = path.name.removesuffix(EVIDENCE)
        name = f"{path.parent.name}/{stem}"
        if name in left:
            if name in witnesses:
                with contextlib.suppress(StoreError):  # it was not asked for
                    evidences.append(read_evidence(path))
            continue
        evidence = read_evidence(path)
        evidences.append(evidence)
        if name not in known and is_permutation(evidence):
            pictures = [one.name.removeprefix(stem) for one in sorted(path.parent.glob(f"{stem}*.svg"))]
            unlisted.append(_line(evidence, path.parent.name, evidence.history.seconds, pictures))
    if unlisted or (lines and not file.is_file()):
        run["cases"] = sorted([*lines, *unlisted], key=lambda line: (line["file"], line["id"]))
    evidences.sort(key=lambda one: (one.history.file, one.history.case))
    return run, evidences


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's cases, as run.json has them; of a run that was cut off, made from its evidence.

    Raises StoreError.
    """
    file = folder / "run.json"
    if file.is_file():
        lines = _json(file).get("cases", [])
        if not all(isinstance(line, dict) and {"id", "status"} <= line.keys() for line in lines):
            raise StoreError(f"{file} cannot be read: a case of it has no id or no status")
        return list(lines)
    run, evidences = read_run(folder)
    listed = [line for line in run.get("cases", []) if line.get("permutation")]
    ordinary = [one for one in evidences if not is_permutation(one)]
    return listed + [_line(one, "", one.history.seconds, []) for one in ordinary]


def _unfinished(folder: Path) -> list[dict[str, Any]]:
    """The permutations' lines of a run that was cut off."""
    lines = [line for file in sorted(folder.glob(f"{_LINES}*.jsonl")) for line in _whole_lines(file)]
    return [line for line in lines if line.get("permutation")]


def _place(line: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells the databases that permutations ran on from each other."""
    return str(line["id"]).partition("[")[2].partition("@")[0], str(line.get("engine")), str(line.get("level"))


def in_full(lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the permutations that did not pass which a report tells in full, at most :data:`MOST_TOLD`, in their order.

    First of all one of each file, then a second one of each, and so on.
    """
    turns: Counter[str] = Counter()
    ranked = []
    for place, line in enumerate(lines):
        if line.get("permutation") and line["status"] != "passed":
            ranked.append((turns[line["file"]], place, line))
            turns[line["file"]] += 1
    ranked.sort(key=lambda one: one[:2])
    return [line for _, _, line in sorted(ranked[:MOST_TOLD], key=lambda one: one[1])]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise StoreError(f"{file} cannot be read: it is not UTF-8 text") from None


def _json(file: Path) -> dict[str, Any]:
    try:
        made = json.loads(_text(file))
    except ValueError as error:
        raise StoreError(f"{file} cannot be read: it is not JSON ({error})") from None
    if not isinstance(made, dict):
        raise StoreError(f"{file} cannot be read: it is not a JSON object")
    return made


def schema() -> dict[str, Any]:
    """The JSON Schema of ``evidence.json``: what is equal to its default is not written, so it is not required."""
    made = Evidence.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "evidence.json", **made}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
