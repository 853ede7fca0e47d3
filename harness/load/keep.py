"""A load's result in ``results/<run>/load/<name>/``; a run whose name is taken there gets a number."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from harness.errors import StoreError
from harness.load.result import FOLDER, LoadResult, write_result
from harness.suite import Beside, Settings, Suite


def open_suite(results: Path, run: str) -> Suite:
    """A run for results only: it starts no server. Raises StoreError."""
    suite = Suite(Settings(root=Path.cwd(), results=results.resolve(), run_id=run, mode="external"))
    suite.store.open()
    return suite


def keep(suite: Suite, result: LoadResult) -> Path:
    """Write a result into the run's folder; gives the file's path. Raises StoreError."""
    folder = suite.open_results()
    name = next(
        name
        for number in count(1)
        if not (folder / FOLDER / (name := result.name if number == 1 else f"{result.name}-{number}")).exists()
    )
    result = result.model_copy(update={"name": name})
    try:
        path = write_result(folder, result)
    except OSError as error:
        raise StoreError(f"results cannot be written to {folder}: {error.strerror or error}") from None
    suite.carry(Beside(FOLDER, path, result.model_dump_json(exclude_defaults=True)))
    return path
