"""Where plans are kept: results/<run>/plans/<pair>/ holds plans.json, before.json|xml, after.json|xml and plans.svg."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from pydantic import ValidationError

from harness.errors import StoreError
from harness.evidence.store import folder_name
from harness.plans.model import PlanPair

FOLDER = "plans"
FILE = "plans.json"


def write_pair(run_folder: Path, pair: PlanPair, pictures: Mapping[str, str]) -> PlanPair:
    """Keep a pair, its raw plans and its pictures (file name → text); gives it with its folder. Raises OSError."""
    (run_folder / FOLDER).mkdir(parents=True, exist_ok=True)
    folder = _own_folder(run_folder / FOLDER / folder_name(pair.id))
    kept = pair.model_copy(update={"folder": f"{FOLDER}/{folder.name}"})
    raw = {f"{side}.{one.plan.format}": one.plan.raw for side, one in (("before", pair.before), ("after", pair.after))}
    for file, text in {**raw, **pictures, FILE: kept.model_dump_json(indent=1, exclude_defaults=True)}.items():
        (folder / file).write_text(text, encoding="utf-8")
    return kept


def _own_folder(wanted: Path) -> Path:
    """A folder that nobody else has, as pairs of two files may have one name: ``NAME``, ``NAME-2`` and so on."""
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")


def read_pairs(run_folder: Path) -> list[PlanPair]:
    """All pairs of a run, by their ids. Raises StoreError."""
    made = []
    for file in sorted((run_folder / FOLDER).glob(f"*/{FILE}")):
        try:
            made.append(PlanPair.model_validate_json(file.read_text(encoding="utf-8")))
        except (OSError, ValidationError) as error:
            raise StoreError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    return sorted(made, key=lambda pair: pair.id)
