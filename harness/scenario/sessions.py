"""The sessions of a file: copies made, steps resolved, each name known to belong to one step only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.scenario.model import VERBS, Session, Step
from harness.scenario.problems import shown
from harness.scenario.reading import Reading
from harness.scenario.source import Keys
from harness.scenario.statements import bodies, check
from harness.scenario.written import SessionWritten
from harness.scenario.written_steps import StepWritten


@dataclass(slots=True)
class Cast:
    """All sessions and steps of a file. ``copies``: a copied step's name → the names of its copies."""

    sessions: list[Session] = field(default_factory=list)
    steps: dict[str, Step] = field(default_factory=dict)
    copies: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def steps_called(self, name: str) -> tuple[str, ...]:
        """The steps that a name stands for: one, or all copies of one."""
        return self.copies.get(name, (name,) if name in self.steps else ())

    @property
    def names(self) -> tuple[str, ...]:
        """All names that stand for steps."""
        return (*self.copies, *self.steps)


@dataclass(frozen=True, slots=True)
class _Copy:
    """One session to be made of a written one; ``names`` are i, n and next, if it is a copy."""

    session: str
    suffix: str = ""
    names: Mapping[str, int] = field(default_factory=dict)

    def host(self, hosts: Sequence[str]) -> str:
        """Its own among those that the session is dealt to; empty if it names none."""
        return hosts[(self.names.get("i", 1) - 1) % len(hosts)] if hosts else ""


def cast(reading: Reading) -> Cast:
    """Resolve the sessions. Raises ScenarioError."""
    made = Cast()
    for name, written in reading.written.sessions.items():
        path: Keys = ("sessions", name)
        copies = list(_copies(reading, name, written, path))
        if written.copies is not None:
            made.copies |= {step: tuple(step + copy.suffix for copy in copies) for step in written.steps}
        for copy in copies:
            if any(session.name == copy.session for session in made.sessions):
                raise reading.error(f"session {copy.session!r} is there already: a copy has the same name", *path)
            session = _session(reading, written, copy, path)
            made.sessions.append(session)
            for base, step in zip(written.steps, session.steps, strict=True):
                if step.name in made.steps:
                    raise reading.error(
                        f"step {step.name!r} is in session {made.steps[step.name].session!r} already: "
                        "a step's name must be unique in the file",
                        *path, "steps", base,
                    )  # fmt: skip
                made.steps[step.name] = step
    if both := [step for step in made.copies if step in made.steps]:
        at = ("sessions", made.steps[both[0]].session, "steps", both[0])
        raise reading.error(f"{both[0]!r} is this step's name, and stands for the copies of another one", *at)
    return made


def _copies(reading: Reading, name: str, written: SessionWritten, path: Keys) -> Iterator[_Copy]:
    if written.copies is None:
        yield _Copy(name)
        return
    value = reading.fill(written.copies, *path, "copies")
    count = int(value) if not isinstance(value, bool) and str(value).strip().isdecimal() else 0
    if not 1 <= count <= 256:
        raise reading.error(f"copies must be a number from 1 to 256, not {shown(value)}", *path, "copies")
    for i in range(1, count + 1):
        yield _Copy(f"{name}{i}", f"_{i}", {"i": i, "n": count, "next": i % count + 1})


def _session(reading: Reading, written: SessionWritten, copy: _Copy, path: Keys) -> Session:
    default, hosts = reading.place(written.on, *path, "on")
    if len(hosts) > 1 and written.copies is None:
        raise reading.error(f"a session runs on one host, not on {' and '.join(hosts)}", *path, "on")
    known = {*reading.parameters, *copy.names}
    named = [
        (step, _outer_name(step, "setup", number), (*path, "setup", number - 1))
        for number, step in enumerate(written.setup, 1)
    ]
    named += [(step, name + copy.suffix, (*path, "steps", name)) for name, step in written.steps.items()]
    named += [
        (step, _outer_name(step, "teardown", number), (*path, "teardown", number - 1))
        for number, step in enumerate(written.teardown, 1)
    ]
    made = []
    for step, name, at in named:
        made.append(_step(reading, step, name, copy, default, known, at))
        known |= step.reads.keys()
    begin, end = len(written.setup), len(written.setup) + len(written.steps)
    return Session(
        name=copy.session,
        steps=tuple(made[begin:end]),
        setup=tuple(made[:begin]),
        teardown=tuple(made[end:]),
        databases=tuple(dict.fromkeys([default, *(step.database for step in made)])),
        deadlock_priority=_priority(reading, written, copy, path),
        host=copy.host(hosts),
    )


def _outer_name(step: StepWritten, key: str, number: int) -> str:
    """What a step of a session's set-up or tear-down is called: its verb, or its number there."""
    return step.run if isinstance(step.run, str) and step.run in VERBS else f"{key} {number}"


def _step(
    reading: Reading, written: StepWritten, name: str, copy: _Copy, default: str, known: set[str], path: Keys
) -> Step:
    alias = reading.alias(written.on, *path, "on") if written.on else default
    where = f"step {name!r}"
    if written.plan and (path[-2] != "steps" or reading.written.free_running):
        what = "a free run" if reading.written.free_running else f"a session's {path[-2]}"
        raise reading.error(f"plans are kept of the steps of a schedule, not of {what}", *path, "plan")
    made = bodies(reading, written, alias, path, known, where)
    for item, value in written.writes.items():
        check(reading, _document(value), set(), (*path, "writes", item), known, where)
    return Step(
        name=name,
        session=copy.session,
        database=alias,
        bodies=made,
        reads=written.reads,
        writes=written.writes,
        names=copy.names,
        place=reading.source.locate(path),
        plan=written.plan,
    )


def _document(value: Any) -> dict[str, Any]:
    """A written value, to be looked through like a document: it is no statement."""
    return {"": value}


def _priority(reading: Reading, written: SessionWritten, copy: _Copy, path: Keys) -> str:
    value = str(reading.fill(written.deadlock_priority, *path, "deadlock_priority", names=copy.names))
    if value not in ("low", "normal", "high"):
        raise reading.error(f"deadlock_priority is low, normal or high, not {value!r}", *path, "deadlock_priority")
    return value
