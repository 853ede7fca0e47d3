"""From an isolation specification to a :class:`Scenario`: what isolationtester does with it, in the harness's terms.

One database and one connection per session serve all permutations, one after the other; values are kept as the server
writes them; each permutation is a strict schedule; and what is expected is the text that isolationtester would print.
:mod:`harness.scenario.spec_yaml` writes the same scenario as YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import Location, ScenarioError
from harness.scenario.expected import Expected, read_expected
from harness.scenario.model import VERBS, Entry, Expectation, Hold, Made, Scenario, Schedule, Session, Statements, Step
from harness.scenario.schedules import interleavings
from harness.scenario.source import read_text
from harness.scenario.spec import Block, EntrySpec, SessionSpec, Spec, parse
from harness.scenario.spec_text import BLANKS
from harness.scenario.written_expect import ANY
from harness.vocabulary import DEFAULT_LEVEL

ENGINE = "postgresql"

TIMEOUT = 360.0
"""Seconds that a step may take before it is cancelled: twice PG_TEST_TIMEOUT_DEFAULT, which is 180."""

CASE_TIMEOUT = 86400.0
"""isolationtester has no limit for a permutation, only for its steps: here it is the largest that a file can say."""

DATABASE = "isolation_regression"
"""What pg_isolation_regress calls its database; some specifications name it."""

_ALIAS = "db"
_DATABASE_NAMED = re.compile(rf"\b{DATABASE}\b")


def settings(name: str) -> dict[str, str]:
    """The settings that pg_isolation_regress gives to each session, by PGTZ, PGDATESTYLE, PGOPTIONS and PGAPPNAME.

    Results show dates in them, and a specification may look for its own sessions by ``application_name``, to which
    isolationtester, and the runner here, append ``/SESSION``.
    """
    return {
        "TimeZone": "America/Los_Angeles",
        "DateStyle": "Postgres, MDY",
        "IntervalStyle": "postgres_verbose",
        "application_name": f"isolation/{name}",
    }


def load_spec(file: Path, expected: Path | None = None, timeout: float = TIMEOUT) -> Scenario:
    """The scenario that a specification says; ``expected`` is the folder of expected outputs, if they shall be compared.

    If the folder holds none for it, nothing that the run prints is right. ``timeout`` is a step's, in seconds.
    Raises ScenarioError: file:line:column, what was wrong, what was meant; more interleavings than 10,000.
    """
    text = read_text(file)
    spec = parse(text, file)
    sessions = tuple(map(_session, spec.sessions))
    known = None if expected is None else read_expected(expected, file.stem)
    texts = [text, *(output for _, output in known.variants)] if known else [text]
    schedules = tuple(_expecting(_schedules(spec, sessions), known))
    made: tuple[Made, ...] = ()
    if not spec.permutations and known is None:  # each has no more than its order: they need not be written out
        schedules, made = (), (Made("all", "all", strict=True),)
    return Scenario(
        id=file.stem,
        file=file,
        title=file.stem,
        about=_about(text),
        marks=("isolation",),
        placements=({_ALIAS: "promptsales"},),
        levels={ENGINE: (DEFAULT_LEVEL,)},
        parameters={},
        setup=_statements(spec.setups),
        teardown=_statements([spec.teardown] if spec.teardown else []),
        items=(),
        sessions=sessions,
        schedules=schedules,
        made=made,
        expect={ENGINE: {ANY: Expectation()}},  # in force where the outputs are not known; it names the engine
        deadline=timeout,
        case_deadline=CASE_TIMEOUT,
        shared=True,
        settings={ENGINE: settings(file.stem)},
        as_text=True,
        cancel_late=True,
        database_name=DATABASE if any(map(_DATABASE_NAMED.search, texts)) else "",
    )


def _about(text: str) -> str:
    """The comment that the file begins with, as one paragraph."""
    lines = []
    for line in text.splitlines():
        bare = line.strip(BLANKS)
        if bare and not bare.startswith("#"):
            break
        lines.append(bare.lstrip("#"))
    return " ".join(" ".join(lines).split())


def escaped(sql: str) -> str:
    """``sql`` as a statement of a scenario, where ``${`` begins an expression."""
    return sql.replace("${", "$${")


def _statements(blocks: Sequence[Block]) -> Mapping[str, Statements]:
    return {_ALIAS: {"*": tuple(escaped(block.text) for block in blocks)}} if blocks else {}


def _session(spec: SessionSpec) -> Session:
    return Session(
        name=spec.name,
        steps=tuple(_step(step.name, spec.name, step.block.text, step.place) for step in spec.steps),
        setup=_outer(spec, "setup", spec.setup),
        teardown=_outer(spec, "teardown", spec.teardown),
        databases=(_ALIAS,),
    )


def _outer(spec: SessionSpec, key: str, block: Block | None) -> tuple[Step, ...]:
    """A session's set-up or tear-down: one step with all of the text, as isolationtester sends it."""
    if block is None:
        return ()
    return (_step(block.text if block.text in VERBS else f"{key} 1", spec.name, block.text, block.place),)


def _step(name: str, session: str, sql: str, place: Location) -> Step:
    return Step(name, session, _ALIAS, {"*": escaped(sql)}, place=place)


def _schedules(spec: Spec, sessions: Sequence[Session]) -> Iterator[Schedule]:
    if not spec.permutations:
        try:
            yield from interleavings(sessions, "all", strict=True, instead="list those to run, as permutations")
        except ScenarioError as error:
            raise ScenarioError(error.message, spec.sessions[0].place) from None
    width = len(str(len(spec.permutations)))
    for number, permutation in enumerate(spec.permutations, 1):
        yield Schedule(f"p{number:0{width}}", tuple(map(_entry, permutation.entries)), strict=True)


def _entry(spec: EntrySpec) -> Entry:
    return Entry(spec.step, holds=tuple(Hold(marker.step, marker.notices) for marker in spec.markers))


def _expecting(schedules: Iterator[Schedule], known: Expected | None) -> Iterator[Schedule]:
    """Each schedule with what it may print, if that is known."""
    outputs = known.outputs() if known else ()
    for number, schedule in enumerate(schedules):
        if known is None:
            yield schedule
        else:
            output = outputs[number] if number < len(outputs) else ()
            yield replace(schedule, expect={ENGINE: {ANY: Expectation(output=output)}})
