"""PostgreSQL's isolation specifications on the servers of a run: each one a scenario, each permutation a case.

The specification passes as pg_isolation_regress would say it: what was printed equals ``NAME.out`` or one of its
variants, byte for byte. Each permutation leaves its own evidence and has its own verdict besides.
"""

from __future__ import annotations

import contextlib
import difflib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.engines.base import Sharing
from harness.errors import HarnessError, ScenarioError
from harness.evidence.model import Status
from harness.evidence.transcript import head, transcript
from harness.history import RunEnd
from harness.runner.databases import Made
from harness.scenario.cases import cases
from harness.scenario.expected import Expected, read_expected
from harness.scenario.files import SPEC
from harness.scenario.model import Case, Scenario
from harness.scenario.source import read_text
from harness.scenario.spec_load import TIMEOUT, load_spec
from harness.scenario.spec_needs import Need, needs
from harness.suite import Result, Suite


@dataclass(frozen=True, slots=True)
class Specification:
    """A specification that is ready to be run, and what is expected of it."""

    file: Path
    scenario: Scenario
    expected: Expected
    cases: tuple[Case, ...]
    needs: tuple[Need, ...] = ()  # of the server, while other processes use it too


@dataclass(frozen=True, slots=True)
class Permutation:
    """What became of one permutation. ``difference`` is empty if it printed what it should."""

    case: Case
    result: Result
    difference: str

    @property
    def passed(self) -> bool:
        """Whether it printed what it should."""
        return self.result.evidence.verdict.status is Status.passed


@dataclass(slots=True)
class SpecResult:
    """What became of a specification. ``problem`` says in a line why it did not pass; empty if it did."""

    specification: Specification
    output: str = ""
    permutations: list[Permutation] = field(default_factory=list)
    problem: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the whole output is one of those expected."""
        return not self.problem

    def add(self, made: Result) -> None:
        """Take in the next permutation."""
        evidence = made.evidence
        passed = evidence.verdict.status is Status.passed
        known = self.specification.cases[len(self.permutations)].expectation.output or ()
        self.output += known[0] if passed and len(known) == 1 else transcript(evidence.history)
        difference = "" if passed else "\n".join(evidence.verdict.mismatches)
        self.permutations.append(Permutation(self.specification.cases[len(self.permutations)], made, difference))

    @property
    def differing(self) -> list[Permutation]:
        """The permutations that printed something else."""
        return [permutation for permutation in self.permutations if not permutation.passed]


class Specs:
    """Runs specifications in one process of a run; they share a database, as PostgreSQL's own runner has them do.

    After one that did not pass they get another: what it left behind shall not make the next ones fail.
    """

    def __init__(self, suite: Suite, expected: Path | None = None, timeout: float = TIMEOUT) -> None:
        self._suite = suite
        self._expected = expected
        self._timeout = timeout
        self._database: Made | None = None
        self._ahead: dict[Path, Specification] = {}

    def read(self, file: Path) -> Specification:
        """Read a specification; expected outputs are in the folder ``expected`` beside its own, if no other was named.

        Raises ScenarioError.
        """
        return self._ahead.pop(file, None) or self._read(file)

    def read_ahead(self, file: Path) -> None:
        """Read the specification that comes next, and connect its sessions, while the one before is run."""
        self._suite.meanwhile.later(partial(self._read_ahead, file))

    def _read_ahead(self, file: Path) -> None:
        with contextlib.suppress(HarnessError):  # it is read again when its turn has come, and says why
            specification = self._ahead[file] = self._read(file)
            if self._database and specification.cases[0].reason == "" and not specification.scenario.database_name:
                self._suite.prepare(specification.cases[0], self._database)

    def _read(self, file: Path) -> Specification:
        folder = self._expected or file.resolve().parent.parent / "expected"
        scenario = load_spec(file, folder, self._timeout)
        made = tuple(cases(scenario, self._suite.servers.describe))
        needed = needs(read_text(file), named_database=bool(scenario.database_name))
        return Specification(file, scenario, read_expected(folder, file.stem), made, tuple(needed))

    def run(self, specification: Specification) -> SpecResult:
        """Run all permutations, in order, as far as they go.

        Raises ServerUnavailable (skip) and any other HarnessError if it could not be run at all.
        """
        result = SpecResult(specification)
        began = time.perf_counter()
        scenario = specification.scenario
        if reason := next((case.reason for case in specification.cases if case.reason), ""):
            raise ScenarioError(f"{specification.file}: {reason}")
        result.output = head(len(scenario.sessions), scenario.unused_steps)
        lent = self._lend(specification)
        with self._undisturbed(lent, specification):
            self._run(specification, result, None if scenario.database_name else lent)
        result.problem = _problem(result)
        result.seconds = time.perf_counter() - began
        if result.problem:
            self.close()
        return result

    def _run(self, specification: Specification, result: SpecResult, lent: Made | None) -> None:
        try:
            for case in specification.cases:
                end = self._suite.run_and_tell(case, result.add, lent)
                if end is not RunEnd.completed:
                    break  # isolationtester ends here, too
            self._suite.meanwhile.finish()
        finally:
            self._suite.leave_stage()

    def _undisturbed(self, made: Made, specification: Specification) -> AbstractContextManager[None]:
        """Keep those specifications away that other processes run and that would disturb this one, or it them."""
        if not isinstance(made.admin, Sharing):
            return contextlib.nullcontext()
        shared = [need.name for need in specification.needs if not need.exclusive]
        return made.admin.holding(shared, [need.name for need in specification.needs if need.exclusive])

    def _lend(self, specification: Specification) -> Made:
        if self._database is None:
            placed = specification.cases[0].databases[0]
            self._database = self._suite.databases.make(placed.logical, [placed.level])
        return self._database

    def close(self) -> None:
        """Drop the database. Never raises."""
        self._suite.forget_prepared()
        made, self._database = self._database, None
        if made is not None:
            with contextlib.suppress(HarnessError):  # a dead server has nothing to be dropped
                self._suite.databases.drop(made)


def _problem(result: SpecResult) -> str:
    specification = result.specification
    known = [text for _, text in specification.expected.variants]
    last = result.permutations[-1].result.evidence.history if result.permutations else None
    if last is not None and last.end is not RunEnd.completed:
        return f"{result.permutations[-1].case.schedule.name}: {last.end_text or last.end.value}"
    if result.output in known:
        return ""
    if not known:
        return f"no expected output: there is no {specification.file.stem}.out"
    differing = result.differing
    if differing:
        names = ", ".join(permutation.case.schedule.name for permutation in differing[:8])
        more = f" and {len(differing) - 8} more" if len(differing) > 8 else ""
        of = len(specification.cases)
        return f"{len(differing)} of {of} permutations print something else than expected: {names}{more}"
    if len(known) > 1:
        return "each permutation prints what one of the expected outputs has, but no one of these has them all"
    return "the output has more or fewer permutations than expected, or another head"


def difference(result: SpecResult) -> Iterator[str]:
    """The lines of a unified diff against the nearest of the expected outputs; none if there are none."""
    lines = result.output.split("\n")
    texts = [(name, text.split("\n")) for name, text in result.specification.expected.variants]
    if not texts:
        return
    name, nearest = max(texts, key=lambda one: _alike(one[1], lines))
    yield from difflib.unified_diff(nearest, lines, name, "what happened", lineterm="", n=3)


def _alike(one: Sequence[str], other: Sequence[str]) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).quick_ratio()


def spec_files(folder: Path) -> list[Path]:
    """The specifications of a folder, or the one file. Raises ScenarioError if there is none."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise ScenarioError(f"{folder}: there is no such file or folder")
    found = sorted(folder.glob(f"*{SPEC}"))
    if not found:
        raise ScenarioError(f"{folder}: there is no {SPEC} file in it")
    return found
