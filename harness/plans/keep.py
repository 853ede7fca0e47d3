"""A pair in ``results/<run>/plans/<pair>/`` of the run that measured it, on whichever machine that was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import StoreError
from harness.plans.model import PlanPair
from harness.plans.store import FILE, FOLDER, write_pair
from harness.suite import Beside, Suite


def keep_pair(suite: Suite, pair: PlanPair, pictures: Mapping[str, str]) -> tuple[Path, PlanPair]:
    """Write a pair and its pictures into the run's folder; gives its file, and the pair with its folder.

    Raises StoreError.
    """
    folder = suite.open_results()
    try:
        kept = write_pair(folder, pair, pictures)
    except OSError as error:
        raise StoreError(f"{folder}: the plans cannot be kept: {error.strerror or error}") from None
    path = folder / kept.folder / FILE
    suite.carry(Beside(FOLDER, path, pair.model_dump_json(exclude_defaults=True), pictures))
    return path, kept
