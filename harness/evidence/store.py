"""``results/``: what runs leave behind, and how it is read again.

    results/<run>/run.json                  versions, hosts, options, every case with its verdict
    results/<run>/<case>/evidence.json      one Evidence (evidence.schema.json describes it)
    results/<run>/<case>/deadlock/…         the engine's own reports
    results/latest -> <run>

Several processes write into one run (pytest-xdist): each case has a folder of its own, and each writes its own line of
``cases/``, which the controller gathers into ``run.json`` at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import StoreError
from harness.evidence.model import Evidence

SCHEMA = Path(__file__).with_name("evidence.schema.json")


def folder_name(case: str) -> str:
    """A case's id as a folder's name that every file system takes: ``cascade@promptsales-postgresql-…``."""
    return re.sub(r"[^\w.+@-]+", "-", case.replace("[", "@", 1).replace("@", "-")).strip("-")[:150]


class Store:
    """One run's folder. All methods raise StoreError in one line if the disk says no."""

    def __init__(self, root: Path, run: str) -> None:
        self.root = root
        self.run = run
        self.folder = root / run

    def open(self) -> None:
        """Make the folder and point ``latest`` to it."""
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            latest = self.root / "latest"
            fresh = self.root / f".latest-{os.getpid()}"
            with contextlib.suppress(FileNotFoundError):
                fresh.unlink()
            try:
                fresh.symlink_to(self.run, target_is_directory=True)
                fresh.replace(latest)
            except OSError:  # a file system or a Windows account without links: say it in a file
                (self.root / "latest.txt").write_text(self.run, encoding="utf-8")

    def keep(self, evidence: Evidence, pictures: Mapping[str, str], seconds: float) -> Path:
        """Write a case's folder: the evidence, the pictures (file name → text), the engines' reports. Returns its path."""
        folder = self.folder / folder_name(evidence.history.case)
        with _told(folder):
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            path = folder / "evidence.json"
            _write(path, evidence.model_dump_json(indent=1, exclude_defaults=True))
            for name, text in pictures.items():
                _write(folder / name, text)
            for number, report in enumerate(evidence.history.reports, 1):
                (folder / "deadlock").mkdir(exist_ok=True)
                suffix = "xml" if report.text.lstrip().startswith("<") else "log"
                _write(folder / "deadlock" / f"{report.database}-{number}.{suffix}", report.text)
            _write(folder / "case.json", json.dumps(_line(evidence, folder.name, seconds), indent=1))
        return path

    def close(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Gather the cases into ``run.json``; ``facts`` are the run's own (started, seconds, versions, hosts, options)."""
        with _told(self.folder):
            lines = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.folder.glob("*/case.json"))]
            run = {"run": self.run, **facts, "cases": sorted(lines, key=lambda line: (line["file"], line["id"]))}
            _write(self.folder / "run.json", json.dumps(run, indent=1, default=str))
        return run

    def write(self, name: str, text: str) -> Path:
        """Write a file of the run."""
        path = self.folder / name
        with _told(path):
            _write(path, text)
        return path


def _line(evidence: Evidence, folder: str, seconds: float) -> dict[str, Any]:
    history, verdict = evidence.history, evidence.verdict
    return {
        "id": history.case,
        "file": history.file,
        "title": history.title,
        "engine": history.engine,
        "level": history.level,
        "stand_in": any(database.stand_in for database in history.databases),
        "status": verdict.status.value,
        "summary": verdict.summary,
        "found": [anomaly.phenomenon.value for anomaly in verdict.anomalies]
        + [("deadlock" if one.seen_by_server else "hidden deadlock") for one in verdict.deadlocks],
        "victim": next((one.victim for one in verdict.deadlocks if one.victim), ""),
        "folder": folder,
        "seconds": round(seconds, 3),
    }


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a reader never sees half a file."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"results cannot be written to {path}: {reason}; free some space or give --results=DIR"
        ) from None


def find_run(root: Path, name: str = "latest") -> Path:
    """The folder of a run: a path, a run's id, or ``latest``. Raises StoreError if there is none."""
    for candidate in (Path(name), root / name):
        if (candidate / "run.json").is_file() or any(candidate.glob("*/evidence.json")):
            return candidate.resolve()
    pointer = root / "latest.txt"
    if name == "latest" and pointer.is_file():
        return find_run(root, pointer.read_text(encoding="utf-8").strip())
    raise StoreError(f"no run {name!r} in {root}: run some scenarios first (pytest, or 'harness run')")


def read_evidence(path: Path) -> Evidence:
    """Read an ``evidence.json`` (or the folder that holds it). Raises StoreError."""
    file = path / "evidence.json" if path.is_dir() else path
    try:
        return Evidence.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(f"{file} is no evidence of this version: {where}: {first['msg']}") from None


def read_run(folder: Path) -> tuple[dict[str, Any], list[Evidence]]:
    """A run's ``run.json`` (empty if the run was cut off) and all its evidence, in the order of its cases."""
    file = folder / "run.json"
    run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"run": folder.name}
    evidences = [read_evidence(path) for path in sorted(folder.glob("*/evidence.json"))]
    evidences.sort(key=lambda one: (one.history.file, one.history.case))
    return run, evidences


def schema() -> dict[str, Any]:
    """The JSON Schema of ``evidence.json``."""
    made = Evidence.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "evidence.json", **made}
