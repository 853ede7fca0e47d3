"""A scenario that an isolation specification gave, written as YAML: loading that gives the same scenario again.

Multi-line SQL and outputs are literal blocks wherever YAML carries them exactly there, tabs and blanks at a line's end
included; else they are quoted with escapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import yaml
from yaml.emitter import ScalarAnalysis

from harness.errors import ScenarioError
from harness.scenario.forms import session_name
from harness.scenario.model import Entry, Expectation, Hold, Made, Scenario, Schedule, Session, Statements, Step
from harness.scenario.written_expect import ANY
from harness.scenario.yaml_text import Dumper, Line, Row

_WIDTH = 120
_LONG = 90
"""A text longer than this begins a line of its own."""

_DAY = 86400.0
"""A file cannot say a longer time."""

_LITERAL = re.compile(r"[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")
"""What a literal block can hold: everything that YAML calls printable, without the breaks that it would change."""

_OTHER_BREAKS = re.compile(r"[\x85\u2028\u2029]")


def to_yaml(scenario: Scenario) -> str:
    """The YAML file that says what ``scenario`` does: its ``load`` is equal, but for the file and the steps' places.

    Raises ScenarioError for what YAML, or this writer, cannot say: an empty SQL block of the whole file's set-up, a
    session whose name is blank or has control characters, expected bytes that are not UTF-8, what no specification says.
    """
    _check(scenario)
    name = scenario.file.name if scenario.file.name.isprintable() else repr(scenario.file.name)
    data = _scenario(scenario)
    text: str = yaml.dump(
        data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH, default_flow_style=False
    )
    return f"# Exported from the isolation specification {name}.\n{text}"


def _check(scenario: Scenario) -> None:
    if said := sorted(_foreign(scenario)):
        raise ScenarioError(f"{scenario.file}: only what a specification can say is exported, not {', '.join(said)}")
    for key, by_alias in (("setup", scenario.setup), ("teardown", scenario.teardown)):
        if any(not text for statements in by_alias.values() for text in statements["*"]):
            raise ScenarioError(f"{scenario.file}: the {key} has an empty SQL block, which YAML cannot say")
    for session in scenario.sessions:
        try:
            session_name(session.name)
        except ValueError as error:
            raise ScenarioError(f"YAML cannot say the session of this step: {error}", session.steps[0].place) from None
    for schedule in scenario.schedules:
        for expectation in _expectations(schedule):
            if any(re.search(r"[\ud800-\udfff]", text) for text in expectation.output or ()):
                raise ScenarioError(
                    f"{scenario.file}: what {schedule.name} shall print is not UTF-8: YAML cannot say it"
                )


def _foreign(scenario: Scenario) -> set[str]:
    """What ``scenario`` says and no specification does."""
    steps = [step for one in scenario.sessions for step in (*one.setup, *one.steps, *one.teardown)]
    statements = [one for by_alias in (scenario.setup, scenario.teardown) for one in by_alias.values()]
    expectations = [one for by_level in scenario.expect.values() for one in by_level.values()]
    expectations += chain.from_iterable(map(_expectations, scenario.schedules))
    found = {
        "several databases": len(scenario.placements) != 1 or len(scenario.placements[0]) != 1,
        "parameters": bool(scenario.parameters),
        "items": bool(scenario.items),
        "free_running": scenario.free_running is not None,
        "break_cycle": bool(scenario.break_cycle),
        "sensitive": bool(scenario.sensitive),
        "a deadline of more than a day": max(scenario.deadline, scenario.case_deadline) > _DAY,
        "reads and writes": any(step.reads or step.writes for step in steps),
        "copies": any(step.names for step in steps),
        "statements by engine": any(set(bodies) != {"*"} for bodies in (*statements, *(step.bodies for step in steps))),
        "deadlock_priority": any(session.deadlock_priority != "normal" for session in scenario.sessions),
        "random schedules": any(schedule.seed is not None for schedule in scenario.schedules)
        or (bool(scenario.made) and (scenario.made != (Made("all", "all", strict=True),) or bool(scenario.schedules))),
        "expectations beside the output": any(one != Expectation(output=one.output) for one in expectations),
    }
    return {what for what, said in found.items() if said}


def _expectations(schedule: Schedule) -> list[Expectation]:
    return list(chain.from_iterable(by_level.values() for by_level in schedule.expect.values()))


# -- plain data, in the order in which people write it


def _scenario(scenario: Scenario) -> dict[str, Any]:
    full = {
        "title": scenario.title,
        "about": scenario.about,
        "marks": Row(mark for mark in scenario.marks if mark != "isolation"),
        "database": next(iter(scenario.placements[0].values())),
        "levels": Line({engine: _one(Row(levels)) for engine, levels in scenario.levels.items()}),
        "shared": scenario.shared,
        "data": scenario.data,
        "database_name": scenario.database_name,
        "settings": {engine: dict(values) for engine, values in scenario.settings.items()},
        "values": "text" if scenario.as_text else None,
        "late_steps": "cancel" if scenario.cancel_late else None,
        "deadline": _number(scenario.deadline),
        "case_deadline": _number(scenario.case_deadline),
        "setup": _statements(scenario.setup),
        "teardown": _statements(scenario.teardown),
        "sessions": {session.name: _session(session) for session in scenario.sessions},
        **_schedules(scenario),
    }
    expect = _by_engine(scenario.expect)
    return {key: value for key, value in full.items() if value not in (None, "", False, [], {})} | {"expect": expect}


def _one(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _number(value: float) -> float:
    return int(value) if value == int(value) else value


def _statements(by_alias: Mapping[str, Statements]) -> list[Any]:
    return [_Block(text) for statements in by_alias.values() for text in statements["*"]]


def _session(session: Session) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if session.setup:
        made["setup"] = _one([_step(step) for step in session.setup])
    made["steps"] = {step.name: _step(step) for step in session.steps}
    if session.teardown:
        made["teardown"] = _one([_step(step) for step in session.teardown])
    return made


def _step(step: Step) -> Any:
    text = str(step.bodies["*"])
    return _Block(text) if text.strip() else Line(run=text)


def _schedules(scenario: Scenario) -> dict[str, Any]:
    if scenario.made:
        return {"schedule": Line(all="strict")}
    return {"schedules": {schedule.name: _schedule(schedule) for schedule in scenario.schedules}}


def _schedule(schedule: Schedule) -> dict[str, Any]:
    made = {"strict": schedule.strict, "steps": Row(map(_entry, schedule.entries))}
    return {**made, "expect": _by_engine(schedule.expect)} if schedule.expect else Line(made)


def _entry(entry: Entry) -> Any:
    claims = {
        "blocks": entry.blocks,
        "until": entry.until or None,
        "hold": _one(Row(map(_hold, entry.holds)) or [None]),
    }
    said = Line((key, value) for key, value in claims.items() if value is not None)
    return Line({entry.step: said}) if said else entry.step


def _hold(hold: Hold) -> Any:
    if not hold.step:
        return "*"
    return Line(until=hold.step) if hold.notices is None else Line(until=hold.step, notices=hold.notices)


def _by_engine(expect: Mapping[str, Mapping[str, Expectation]]) -> dict[str, Any]:
    """Engine → expectation, or, where it is not that of any level, engine → level → expectation."""
    made: dict[str, Any] = {}
    for engine, by_level in expect.items():
        written = {level: _expectation(expectation) for level, expectation in by_level.items()}
        made[engine] = written[ANY] if list(written) == [ANY] else written
    return made


def _expectation(expectation: Expectation) -> dict[str, Any]:
    if expectation.output is None:
        return Line()
    return {"output": _one([_Block(text) for text in expectation.output])}


# -- its text


class _Block(str):
    """A text of SQL or of an output: a literal block, if it has several lines or a long one."""

    __slots__ = ()


class _Dumper(Dumper):
    """Takes literal blocks wherever they are exact."""

    def analyze_scalar(self, scalar: str) -> ScalarAnalysis:
        # PyYAML quotes a text that has a tab, or a blank at a line's end. Literal blocks keep both.
        analysis = super().analyze_scalar(scalar)
        if scalar.strip(" \t\n") and _LITERAL.fullmatch(scalar):
            analysis.allow_block = True
        if _OTHER_BREAKS.search(scalar):  # read back, they would be newlines, or blanks: only escapes keep them
            analysis.allow_flow_plain = analysis.allow_block_plain = False
            analysis.allow_single_quoted = analysis.allow_block = False
        return analysis


def _represent_block(dumper: _Dumper, text: _Block) -> yaml.ScalarNode:
    literal = "\n" in text or len(text) > _LONG
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|" if literal else None)


_Dumper.add_representer(_Block, _represent_block)
