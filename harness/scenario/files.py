"""The two ways to write a scenario, told apart by the file's suffix: YAML, and PostgreSQL's isolation specifications."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import ScenarioError
from harness.scenario.load import load
from harness.scenario.model import Scenario
from harness.scenario.spec_load import CASE_TIMEOUT, TIMEOUT, load_spec

SPEC = ".spec"
SUFFIXES = (".yaml", SPEC)
"""What is looked for in a folder."""

TIMEOUT_VARIABLE = "PG_TEST_TIMEOUT_DEFAULT"


def read_scenario(file: Path, parameters: Mapping[str, str] | None = None) -> Scenario:
    """Read, check and resolve a scenario file of either kind; a specification has no ``parameters``.

    A specification's outputs are compared if there is a folder ``expected`` beside its own. Raises ScenarioError.
    """
    if file.suffix == SPEC:
        return load_spec(file, known_outputs(file), step_timeout(None, os.environ))
    return load(file, parameters)


def expected_folder(file: Path) -> Path:
    """Where PostgreSQL has the outputs that are expected of the specification ``file``."""
    return file.resolve().parent.parent / "expected"


def known_outputs(file: Path) -> Path | None:
    """That folder, if it is there."""
    folder = expected_folder(file)
    return folder if folder.is_dir() else None


def scenario_files(given: list[Path]) -> Iterator[Path]:
    """The files that are named, and those in the folders that are. Raises ScenarioError if something is not there."""
    for path in given:
        if path.is_dir():
            yield from sorted(file for suffix in SUFFIXES for file in path.rglob(f"*{suffix}"))
        elif path.exists():
            yield path
        else:
            raise ScenarioError(f"{path}: there is no such file or folder")


def step_timeout(given: float | None, environ: Mapping[str, str]) -> float:
    """Seconds that a specification's step may take: ``given``, or as isolationtester has it, twice PG_TEST_TIMEOUT_DEFAULT.

    Raises ScenarioError if it is no time.
    """
    if given is not None:
        if not 0 < given <= CASE_TIMEOUT:  # nor is "nan" a time
            raise ScenarioError(f"a step's timeout is more than 0 and at most {CASE_TIMEOUT:g} seconds, not {given:g}")
        return given
    text = environ.get(TIMEOUT_VARIABLE, "").strip()
    if not text:
        return TIMEOUT
    try:
        seconds = 2 * float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= CASE_TIMEOUT:
        raise ScenarioError(
            f"{TIMEOUT_VARIABLE}={text}: half of a step's timeout, from 1 to {CASE_TIMEOUT / 2:g} seconds"
        )
    return seconds
