"""Rounds in ``results/<run>/etl/<name>/``; a run whose name is taken there gets a number."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from harness.errors import StoreError
from harness.etl.kept import FILE, FOLDER, EtlRecord
from harness.evidence.store import folder_name
from harness.suite import Beside, Suite


def keep(suite: Suite, kept: EtlRecord) -> Path:
    """Write rounds into the run's folder; gives their file. Raises StoreError."""
    folder = suite.open_results() / FOLDER
    try:
        own = _own_folder(folder / (folder_name(kept.name) or FOLDER))
        text = kept.model_dump_json(indent=1, exclude_defaults=True)
        (own / FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"results cannot be written to {folder}: {error.strerror or error}") from None
    suite.carry(Beside(FOLDER, own / FILE, text))
    return own / FILE


def _own_folder(wanted: Path) -> Path:
    """A folder that nobody else has: ``NAME``, ``NAME-2`` and so on."""
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")
