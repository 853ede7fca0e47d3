"""What an exploration leaves under ``results/``: a line for each run while it lasts, all of it in one file at the end.

results/<run>/exploration-<case>.jsonl    each schedule: its steps, what came of it; whole after a Ctrl-C, too
results/<run>/exploration-<case>.json     the exploration (:class:`harness.exploring.model.Exploration`)
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import TextIO

from harness.errors import StoreError
from harness.evidence.store import folder_name
from harness.exploring.model import Exploration, Ran
from harness.suite import Suite


class Journal:
    """The files of one exploration, called so that none is written over."""

    def __init__(self, suite: Suite, case: str) -> None:
        self.suite = suite
        self.name = f"exploration-{folder_name(case)}"
        self._file: TextIO | None = None

    @property
    def lines(self) -> Path:
        """The file of the lines; it is there once a schedule was run."""
        return self.suite.store.folder / f"{self.name}.jsonl"

    def add(self, ran: Ran) -> None:
        """Write a run down. Raises StoreError."""
        line = {
            "number": ran.task.number,
            "schedule": ran.task.name,
            "steps": list(ran.task.order),
            "outcome": ran.fingerprint,
            "status": ran.status,
            "summary": ran.summary,
            "seconds": round(ran.seconds, 4),
        }
        if ran.task.seed is not None:
            line["seed"] = ran.task.seed
        if ran.evidence:
            line["evidence"] = ran.evidence
        try:
            file = self._file or self._open()
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
        except OSError as error:
            raise self._refused(error) from None

    def _open(self) -> TextIO:
        folder = self.suite.open_results()
        for number in count(1):
            name = self.name if number == 1 else f"{self.name}-{number}"
            try:
                self._file = (folder / f"{name}.jsonl").open("x", encoding="utf-8")
            except FileExistsError:
                continue
            self.name = name
            return self._file
        raise AssertionError("unreachable")

    def close(self, exploration: Exploration) -> Path:
        """Write the exploration itself; gives its path. Raises StoreError."""
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            self._file.close()
        except OSError as error:
            raise self._refused(error) from None
        return self.suite.store.write(f"{self.name}.json", exploration.model_dump_json(indent=1, exclude_defaults=True))

    def _refused(self, error: OSError) -> StoreError:
        where = self.suite.store.folder
        return StoreError(f"results cannot be written to {where}: {error.strerror or error}; give another by --results")
