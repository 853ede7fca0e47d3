"""The results folder as the harness's tools see it: what is named is looked up among what is there, not joined to a path.

What a caller names is compared with the names of the folders that are there. A link is none of them, nor is what lies behind
one, and no file is read that is not a plain one below the results.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import ToolRefused
from harness.evidence.model import Evidence
from harness.evidence.store import EVIDENCE

MOST_BYTES = 64 * 2**20
"""Of a file that is read: evidence of a free run is a few MB, a run.json of ten thousand cases five."""

LATEST = "latest"
_RUN = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LINES = re.compile(r"\.cases-\d+\.jsonl")
_SHOWN = 80  # characters of a name that a refusal says again


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case of a run, as run.json has it. Its ``key``: its folder, of a permutation ``folder~p07``."""

    id: str
    file: str
    title: str
    engine: str
    level: str
    status: str
    summary: str
    found: tuple[str, ...]
    victim: str
    seconds: float
    folder: str
    schedule: str = ""  # of a specification's permutation

    @property
    def key(self) -> str:
        """Its name in URIs."""
        return f"{self.folder}~{self.schedule}" if self.schedule else self.folder

    @property
    def evidence(self) -> str:
        """The name of its evidence inside the run's folder."""
        return f"{self.folder}/{self.schedule}.{EVIDENCE}" if self.schedule else f"{self.folder}/{EVIDENCE}"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A run's folder as it is now. ``finished``: it has its run.json; else it is going on, or was cut off."""

    id: str
    folder: Path
    finished: bool
    facts: dict[str, Any] = field(default_factory=dict)
    cases: tuple[CaseLine, ...] = ()
    problem: str = ""  # why its cases cannot be told


class Results:
    """What is below a results folder, which may not be there yet. Safe to use from several threads: it holds nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def ids(self) -> list[str]:
        """The ids of all runs, newest first: they begin with the time."""
        return sorted(
            (name for name in _folders(self.root) if _RUN.fullmatch(name) and self._holds(name)), reverse=True
        )

    def run(self, run_id: str) -> RunFiles:
        """A run by its id, or the newest one for ``latest``. Raises ToolRefused."""
        known = self.ids()
        if not known:
            raise ToolRefused("no run is kept here yet: run_scenario makes one")
        if run_id == LATEST:
            run_id = known[0]
        if run_id not in known:
            raise ToolRefused(f"there is no run {shown(run_id)}: list_runs says which there are")
        return self._read(run_id)

    def case(self, run: RunFiles, case_id: str) -> CaseLine:
        """A case of a run by its id, or by its name in URIs. Raises ToolRefused: none, or several are called so."""
        found = [one for one in run.cases if case_id in (one.id, one.key)]
        exact = [one for one in found if one.key == case_id]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            names = ", ".join(one.key for one in found[:5])
            raise ToolRefused(f"run {run.id} has {len(found)} cases of this id: say which one as {names}")
        if run.problem:
            raise ToolRefused(run.problem)
        raise ToolRefused(f"run {run.id} has no case {shown(case_id)}: list_cases says which it has")

    def evidence(self, run: RunFiles, case: CaseLine) -> Evidence:
        """A case's evidence. Raises ToolRefused in one line: not there, half written, of another version."""
        text = self._text(run.id, case.evidence)
        if text is None:
            raise ToolRefused(f"the evidence of {shown(case.id)} in run {run.id} is not there, or cannot be read")
        try:
            return Evidence.model_validate_json(text)
        except ValidationError as invalid:
            first = invalid.errors()[0]
            where = ".".join(map(str, first["loc"]))
            said = f"{where}: {first['msg']}" if where else first["msg"]
            raise ToolRefused(
                f"the evidence of {shown(case.id)} in run {run.id} is broken, or of another version: {said[:200]}"
            ) from None

    def report(self, run: RunFiles) -> str:
        """Where the run's page is, seen from the results folder; empty if it has none."""
        return f"{run.id}/report.html" if self._plain(run.id, "report.html") else ""

    def also(self, run: RunFiles) -> list[str]:
        """What else the run has kept: etl, load, plans."""
        return sorted({"etl", "load", "plans"} & set(_folders(run.folder)))

    def _read(self, run_id: str) -> RunFiles:
        folder = self.root / run_id
        text = self._text(run_id, "run.json")
        if text is not None:
            try:
                facts = json.loads(text)
                cases = [_line(one) for one in facts.pop("cases", [])]
            except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
                return RunFiles(run_id, folder, True, problem=f"the run.json of run {run_id} is broken")
            return RunFiles(run_id, folder, True, facts, tuple(_sorted(cases)))
        cases = []
        for name in sorted(filter(_LINES.fullmatch, _names(folder))):
            for line in (self._text(run_id, name) or "").splitlines():
                with contextlib.suppress(ValueError, TypeError, AttributeError, LookupError, RecursionError):
                    cases.append(_line(json.loads(line)))  # one that was cut off may be half
        return RunFiles(run_id, folder, False, cases=tuple(_sorted(cases)))

    def _holds(self, run_id: str) -> bool:
        return self._plain(run_id, "run.json") is not None or any(
            _LINES.fullmatch(name) for name in _names(self.root / run_id)
        )

    def _plain(self, *names: str) -> Path | None:
        """The path of a plain file below the results that no link leads to or out of; None if it is none."""
        path = self.root.joinpath(*names)
        try:
            if path.resolve() == path and stat.S_ISREG(path.lstat().st_mode):
                return path
        except (OSError, ValueError, RuntimeError):
            pass
        return None

    def _text(self, *names: str) -> str | None:
        path = self._plain(*names)
        try:
            if path is None or path.stat().st_size > MOST_BYTES:
                return None
            return path.read_text("utf-8")
        except (OSError, ValueError):
            return None


def shown(name: str) -> str:
    """What a caller has named, quoted, on one line and cut."""
    return ascii(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")


def _sorted(cases: list[CaseLine]) -> list[CaseLine]:
    return sorted(cases, key=lambda one: (one.file, one.id, one.key))


def _line(entry: dict[str, Any]) -> CaseLine:
    """A case's entry. Raises LookupError, TypeError, AttributeError or ValueError for what is none, or points elsewhere."""
    folder = str(entry["folder"])
    schedule = str((entry.get("permutation") or {}).get("schedule", ""))
    if not _is_name(folder) or (schedule and not _is_name(schedule)):
        raise ValueError(folder)
    return CaseLine(
        id=str(entry["id"]),
        file=str(entry.get("file", "")),
        title=str(entry.get("title", "")),
        engine=str(entry.get("engine", "")),
        level=str(entry.get("level", "")),
        status=str(entry["status"]),
        summary=str(entry.get("summary", "")),
        found=tuple(map(str, entry.get("found", ()))),
        victim=str(entry.get("victim", "")),
        seconds=float(entry.get("seconds") or 0),
        folder=folder,
        schedule=schedule,
    )


def _is_name(text: str) -> bool:
    """Whether it is one file's name, and no way to another folder."""
    return bool(re.fullmatch(r"[^/\\\0]{1,200}", text)) and text not in (".", "..") and ":" not in text


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _folders(folder: Path) -> Iterator[str]:
    """The names of the folders in a folder, links left out."""
    try:
        with os.scandir(folder) as entries:
            yield from [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
