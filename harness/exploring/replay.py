"""A failure written down as a scenario: a file whose one schedule shows it again, and which passes when it does.

It is made of the data of the source file, so what the file says for other engines stays in it. What is expected is what
happened each time the smallest schedule was run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, ScenarioError, StoreError
from harness.evidence.model import Evidence, Status
from harness.evidence.store import folder_name
from harness.history import ENDINGS, EventKind
from harness.runner.secrecy import HIDDEN
from harness.scenario.files import SPEC
from harness.scenario.model import Case, Schedule
from harness.scenario.source import parse, read
from harness.scenario.wanted import comparison
from harness.scenario.yaml_text import Block, Line, Lines, Row, dumped
from harness.schemas import folder_for
from harness.suite import Suite

if TYPE_CHECKING:
    from harness.exploring.explore import Explored
    from harness.exploring.model import Shrunk

MOST = 5
"""So many kinds of failure are made small; the others are in the exploration's file."""

_AS_THEY_ARE = (
    "data", "database_name", "settings", "values", "late_steps", "deadline", "case_deadline", "sensitive",
    "setup", "teardown", "items",
)  # fmt: skip


# -- the text


_OURS = "# The smallest schedule of "
"""How a file begins that was made here."""


def replay_text(suite: Suite, small: Case, whole: Case, evidences: Sequence[Evidence], wanted: Sequence[str]) -> str:
    """The YAML of a scenario that does what ``small`` does and expects what ``evidences`` show.

    ``whole`` is the case that it was made of. Raises ScenarioError if the source file cannot be read any more.
    """
    source = _source(small)
    file = suite.relative(small.scenario.file)
    where = f"{whole.level} on {small.databases[0].label}"
    what = ", ".join(wanted) or "it did not fail again"
    made: dict[str, Any] = {
        "title": f"{source.get('title', small.scenario.id)}: the smallest failing schedule",
        "about": f"Made by 'harness explore' of {file} at {where}, schedule {whole.schedule.name}"
        + (f" (seed {whole.schedule.seed})" if whole.schedule.seed is not None else "")
        + f": {what}. It passes when the same happens again.",
        "marks": Row(source.get("marks", [])),
        **_databases(source, small),
        "levels": _levels(small),
        "parameters": _parameters(source, small),
        **{key: _lines(source[key]) for key in _AS_THEY_ARE if key in source},
        "hosts": Row(small.scenario.hosts),
        "break_cycle": small.scenario.break_cycle,
        "sessions": {session.name: _session(source, session.name, small) for session in small.scenario.sessions},
        "schedules": {small.schedule.name: Row(entry.step for entry in small.schedule.entries)},
        "expect": {
            small.engine: {small.level: _expected(small, evidences)},
            **{engine: Line(finds="nothing") for engine in _levels(small) if engine != small.engine},
        },
    }
    made = {key: value for key, value in made.items() if value not in ("", [], {}, None)}
    head = [
        f"{_OURS.removeprefix('# ')}{Path(file).name} in which it goes wrong: {what}.",
        "'harness run' on this file runs it; it passes when the same happens again.",
        f"The schedule that was found: {' '.join(entry.step for entry in whole.schedule.entries)}",
    ]
    return "".join(f"# {' '.join(line.split())}\n" for line in head) + dumped(made)


def _lines(value: Any) -> Any:
    """A list of statements with a line for each, a mapping of items likewise."""
    if not isinstance(value, list | dict):
        return value
    long = any(isinstance(one, str) and " " in one for one in (value.values() if isinstance(value, dict) else value))
    if isinstance(value, list):
        return Lines(value) if long else value
    return Block(value) if long else {key: _lines(one) for key, one in value.items()}


def _source(case: Case) -> dict[str, Any]:
    """The plain data of the case's file; of a specification, that of the YAML that it can be written as."""
    scenario = case.scenario
    if scenario.file.suffix != SPEC:
        data: dict[str, Any] = read(scenario.file).data
        return data
    from harness.scenario.spec_yaml import to_yaml

    plain = replace(scenario, schedules=(Schedule("p", case.schedule.entries),), expect={})
    made: dict[str, Any] = parse(to_yaml(plain), scenario.file).data
    return made


def _databases(source: Mapping[str, Any], case: Case) -> dict[str, Any]:
    if source.get("databases"):
        return {"databases": Line((one.alias, one.logical) for one in case.databases)}
    return {"database": case.databases[0].logical}


def _levels(case: Case) -> dict[str, Any]:
    """The case's own, and those of other engines as far as its file names them: it would have to expect something there."""
    named = {case.engine, *case.scenario.levels}
    return Line((placed.engine, placed.level) for placed in case.databases if placed.level and placed.engine in named)


def _parameters(source: Mapping[str, Any], case: Case) -> dict[str, Any]:
    """Their values in this run; a sensitive one stays as the file declares it."""
    declared, scenario = source.get("parameters") or {}, case.scenario
    return {
        name: value if name in scenario.sensitive else scenario.parameters.get(name, value)
        for name, value in declared.items()
    }


def _session(source: Mapping[str, Any], name: str, case: Case) -> dict[str, Any]:
    """A session as written, with only the steps that are kept; one of several copies with its own numbers in it."""
    session = next(one for one in case.scenario.sessions if one.name == name)
    kept = {step.name for step in session.steps}
    written, suffix, names = _written(source, name, case)
    made = {key: value for key, value in written.items() if key not in ("steps", "copies")}
    made["steps"] = {f"{step}{suffix}": body for step, body in written["steps"].items() if f"{step}{suffix}" in kept}
    if "on" in made:  # a host of a copy is its own one
        given = made["on"] if isinstance(made["on"], list) else [made["on"]]
        aliases = {placed.alias for placed in case.databases}
        made["on"] = Row([*(one for one in given if one in aliases), *([session.host] if session.host else [])])
    ordered = {key: made[key] for key in ("on", "deadlock_priority", "setup", "steps", "teardown") if made.get(key)}
    filled: dict[str, Any] = _filled(ordered, names)
    return filled


def _written(source: Mapping[str, Any], name: str, case: Case) -> tuple[dict[str, Any], str, Mapping[str, Any]]:
    """What the file says of a session; of a copy, the suffix of its steps and what i, n and next are."""
    sessions: dict[str, Any] = source["sessions"]
    if name in sessions and "copies" not in sessions[name]:
        return sessions[name], "", {}
    session = next(one for one in case.scenario.sessions if one.name == name)
    names = session.steps[0].names
    base = name.removesuffix(str(names["i"]))
    return sessions[base], f"_{names['i']}", names


_EXPRESSION = re.compile(r"\$\{[^{}]*\}")


def _filled(value: Any, names: Mapping[str, Any]) -> Any:
    """``value`` with a copy's own numbers in its ``${…}``."""
    if not names:
        return value
    if isinstance(value, str):
        word = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
        return _EXPRESSION.sub(lambda found: word.sub(lambda one: str(names[one[0]]), found[0]), value)
    if isinstance(value, Mapping):
        return {key: _filled(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, names) for one in value]
    return value


def _expected(case: Case, evidences: Sequence[Evidence]) -> dict[str, Any]:
    """What each of these runs showed; what only some of them did may come, too."""
    if not evidences:
        return Line(finds="nothing")
    found = [[one.value for one in evidence.verdict.phenomena] for evidence in evidences]
    always = [name for name in found[0] if all(name in one for one in found)]
    sometimes = [name for name in dict.fromkeys(chain.from_iterable(found)) if name not in always]
    errors = [_errors(evidence) for evidence in evidences]
    refused = sorted({code for one in errors for code in one.values()} - set(_common(errors).values()))
    blocked = [_blocked(evidence) for evidence in evidences]
    full = {
        "finds": Row(always) if len(always) != 1 else always[0],
        "allows": Row(sometimes),
        "errors": Line(_common(errors)),
        "may_refuse": Row(refused),
        "blocks": Row(blocked[0]) if all(one == blocked[0] for one in blocked) else None,
        "sees": Line(_common([_seen(case, evidence) for evidence in evidences])),
        "final": Line(_common([_final(case, evidence) for evidence in evidences])),
    }
    said = {key: value for key, value in full.items() if value or (key == "blocks" and value is not None)}
    return {"finds": "nothing"} | said  # that nobody waited is said, too


def _common(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all of these say alike."""
    return {key: value for key, value in every[0].items() if all(key in one and one[key] == value for one in every)}


def _errors(evidence: Evidence) -> dict[str, str]:
    failed = (event for event in evidence.history.events if event.kind in ENDINGS and event.error)
    return {event.step: event.error.code or event.error.kind.value for event in failed if event.error}


def _blocked(evidence: Evidence) -> list[str]:
    events = evidence.history.events
    return list(dict.fromkeys(event.step for event in events if event.kind is EventKind.blocked))


def _seen(case: Case, evidence: Evidence) -> dict[str, Any]:
    """What the steps read that declare one item."""
    declared = {step.name for session in case.scenario.sessions for step in session.steps if len(step.reads) == 1}
    made = {}
    for event in evidence.history.events:
        read = [one.value for one in event.operations if one.action == "r" and one.known]
        if event.step in declared and event.kind is EventKind.ok and len(read) == 1 and _sayable(read[0]):
            made[event.step] = read[0]
    return made


def _final(case: Case, evidence: Evidence) -> dict[str, Any]:
    hidden = case.scenario.sensitive
    return {name: value for name, value in evidence.history.final.items() if name not in hidden and _sayable(value)}


def _sayable(value: Any) -> bool:
    """Whether an expectation can name the value: a text that looks like a relation would be one."""
    if isinstance(value, str):
        return value != HIDDEN and comparison(value) is None and "${" not in value
    return isinstance(value, bool | int | float)


# -- its file


def smallest(
    suite: Suite,
    explored: Explored,
    write: Path | None,
    now: Callable[[str], None],
    taken: set[Path] | None = None,
) -> list[Shrunk]:
    """For each kind of failure of an exploration the smallest schedule that shows it, written down and replayed.

    ``taken``: the files that this command has written already, to which those of this one are added.
    Raises HarnessError if nothing can be run, StoreError if the file cannot be written.
    """
    from harness.exploring.shrink import shrink
    from harness.exploring.trial import scheduled

    made: list[Shrunk] = []
    taken = set() if taken is None else taken
    told: set[str] = set()
    for kind in _kinds(explored):
        if kind in told or len(made) == MOST:
            continue
        ran = next(ran for ran in explored.fewest_switches() if kind in ran.signature)
        case = scheduled(explored.base, ran.task)
        shrunk = shrink(suite, case, wanted=[kind], now=now)
        told |= {kind, *shrunk.shown}
        # What has nothing to do with the schedule is told, and no file is written.
        if shrunk.notes:
            made.append(shrunk)
            continue
        file = _place(suite, explored.base, write, taken)
        taken.add(file)
        made.append(replayed(suite, shrunk, file))
    return made


def _kinds(explored: Explored) -> Iterable[str]:
    """The kinds of failure, those of the data first; of a run that shows none of them, its first one."""
    from harness.exploring.behaviour import STRONG

    failing = [ran for ran in explored.runs if ran.failing and not ran.problem]
    strong = [one for ran in failing for one in ran.signature if one.startswith(STRONG)]
    weak = [ran.signature[0] for ran in failing if not any(one.startswith(STRONG) for one in ran.signature)]
    return dict.fromkeys([*strong, *weak])


def _place(suite: Suite, base: Case, write: Path | None, taken: Collection[Path]) -> Path:
    """Where the file goes: what was asked for, or the results; the second one has a number."""
    file = write or suite.open_results() / f"{folder_name(base.id).replace('@', '-')}-smallest.yaml"
    numbered = (file if number == 1 else file.with_stem(f"{file.stem}-{number}") for number in count(1))
    return next(one for one in numbered if one not in taken)


def check_writable(file: Path) -> None:
    """Before anything is run: whether the smallest scenario may go there. Raises ScenarioError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise ScenarioError(f"--write {file}: this is a folder: name a file in it")
        if file.exists() and not file.read_text(encoding="utf-8").startswith(_OURS):
            raise ScenarioError(f"--write {file}: it is there already, and is none of ours: give another file")
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise ScenarioError(f"--write {file}: it cannot be written: give another file")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"--write {file}: {getattr(error, 'strerror', '') or error}: give another file") from None


def replayed(suite: Suite, shrunk: Shrunk, file: Path) -> Shrunk:
    """Write the scenario to ``file``, run it as it stands there, and say whether it passed. Raises StoreError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shrunk.text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror or error}; give another one by --write") from None
    schemas, before = folder_for(shrunk.case.scenario.file, Path("schemas")), suite.databases.schemas
    try:
        suite.databases.schemas = before or schemas
        results = [suite.run(case) for case in suite.cases(file)]
    except StoreError:
        raise
    except HarnessError as error:
        return replace(shrunk, file=file, replayed=False, notes=(*shrunk.notes, f"replayed: {error}"))
    finally:
        suite.databases.schemas = before
    wrong = [result.evidence.verdict for result in results if result.evidence.verdict.status is not Status.passed]
    notes = tuple(f"replayed: {verdict.summary}" for verdict in wrong)
    if shrunk.case.scenario.data and before is None and folder_for(file, Path("schemas")) != schemas:
        notes += (f"its 'data:' is that of {schemas}: move the file below {schemas.parent} to run it",)
    return replace(shrunk, file=file, replayed=not wrong, notes=(*shrunk.notes, *notes))
