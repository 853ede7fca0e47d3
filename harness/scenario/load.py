"""From a file to a :class:`Scenario`: names resolved, copies made, every mistake told with its place."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import ScenarioError, did_you_mean
from harness.scenario import expressions
from harness.scenario.model import (
    VERBS,
    Entry,
    Expectation,
    FreeRunning,
    Item,
    Scenario,
    Schedule,
    Session,
    Statements,
    Step,
)
from harness.scenario.schedules import interleavings
from harness.scenario.source import Path_, Source, read
from harness.scenario.written import (
    Body,
    ExpectationWritten,
    RandomWritten,
    ScenarioWritten,
    SessionWritten,
    StepWritten,
)
from harness.vocabulary import ENGINES, LEVELS, REAL_ENGINE, Phenomenon

DEFAULT = "default"
"""The name of the only schedule of a scenario; it does not show in ids."""


def load(file: Path, parameters: Mapping[str, str] | None = None) -> Scenario:
    """Read, check and resolve a scenario file.

    ``parameters`` (from ``--set name=value``) replace those that the file declares; names that it does not declare are
    left to other files. Raises ScenarioError: file:line:column, what was wrong, what was meant.
    """
    source = read(file)
    return _Builder(source, _validate(source), parameters or {}).build()


def _validate(source: Source) -> ScenarioWritten:
    if not isinstance(source.data, dict):
        raise source.error("a scenario is a mapping that begins with 'title:'")
    try:
        return ScenarioWritten.model_validate(source.data)
    except ValidationError as invalid:
        raise _first_of(source, invalid, ()) from None


def _first_of(source: Source, invalid: ValidationError, under: Path_) -> ScenarioError:
    """All problems, a line each; the error's own place is that of the first."""
    lines: list[tuple[Any, str]] = []
    for problem in invalid.errors():
        path = _path_in(source, under, problem["loc"])
        lines.append((source.locate(path), _in_words(problem, source, path)))
    unique = dict.fromkeys(lines)
    first, *others = unique
    message = first[1] + "".join(f"\n{place}: {text}" for place, text in others)
    return ScenarioError(message, first[0])


def _path_in(source: Source, under: Path_, loc: tuple[str | int, ...]) -> Path_:
    """The part of pydantic's location that exists in the file (it also names union members)."""
    path = under
    for part in loc:
        if (*path, part) in source.places:
            path = (*path, part)
    return path


def _in_words(problem: Any, source: Source, path: Path_) -> str:
    kind, loc = problem["type"], problem["loc"]
    name = loc[-1] if loc else ""
    if kind == "extra_forbidden":
        known = _known_keys(loc)
        return f"unknown key {name!r}{did_you_mean(str(name), known)} (known: {', '.join(known)})"
    if kind == "missing":
        return f"{'.'.join(map(str, path)) or 'the scenario'} lacks {name!r}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    where = ".".join(map(str, path))
    return f"{where}: {message[0].lower()}{message[1:]}" if where else message


def _known_keys(loc: tuple[str | int, ...]) -> list[str]:
    from harness.scenario import written

    by_place: dict[str, type[written.Written]] = {"sessions": SessionWritten, "items": written.ItemWritten}
    model: type[written.Written] = ScenarioWritten
    if len(loc) > 1:
        model = by_place.get(str(loc[0]), ExpectationWritten if loc[0] == "expect" else written.ScheduleWritten)
        if loc[0] == "free_running":
            model = written.FreeRunningWritten
    if "steps" in loc[:-1] or "setup" in loc[:-1]:
        model = written.ClaimWritten if loc[0] in ("schedule", "schedules") else StepWritten
    return list(model.model_fields)


class _Builder:
    """Resolves one file."""

    def __init__(self, source: Source, written: ScenarioWritten, given: Mapping[str, str]) -> None:
        self.source = source
        self.written = written
        self.parameters = dict(written.parameters) | {
            name: _like(written.parameters[name], value, name)
            for name, value in given.items()
            if name in written.parameters
        }
        self.placements = self._placements()
        self.aliases = tuple(self.placements[0])
        self.copied: dict[str, tuple[str, ...]] = {}  # a copied step's name → the names of its copies

    def build(self) -> Scenario:
        written = self.written
        sessions = tuple(self._sessions())
        steps = {step.name: step for session in sessions for step in session.steps}
        self._check_items(sessions)
        levels = self._levels()
        expect = self._expectations(written.expect, ("expect",), steps, sessions)
        if written.break_cycle and written.break_cycle not in steps:
            raise self.source.error(self._unknown("step", written.break_cycle, steps, "break_cycle"), "break_cycle")
        scenario = Scenario(
            id=self.source.file.stem,
            file=self.source.file,
            title=written.title,
            about=" ".join(written.about.split()),
            marks=tuple(dict.fromkeys([*written.marks, "isolation"])),
            placements=self.placements,
            levels=levels,
            parameters=self.parameters,
            setup=self._statements(written.setup, "setup"),
            teardown=self._statements(written.teardown, "teardown"),
            items=tuple(self._items()),
            sessions=sessions,
            schedules=tuple(self._schedules(sessions, steps)),
            expect=expect,
            free_running=FreeRunning(written.free_running.workers, written.free_running.iterations)
            if written.free_running
            else None,
            break_cycle=written.break_cycle or "",
            sensitive=frozenset(written.sensitive),
            deadline=written.deadline,
            case_deadline=written.case_deadline,
        )
        self._check_expected_levels(scenario)
        return scenario

    # -- databases and levels

    def _placements(self) -> tuple[Mapping[str, str], ...]:
        written = self.written
        if bool(written.database) == bool(written.databases):
            raise self.source.error(
                "say where it runs: either 'database: promptsales' (or a list: on each of them), "
                "or 'databases: {alias: promptsales, …}' (on all at once)",
                *(("databases",) if written.database else ()),
            )
        if written.databases:
            return (dict(written.databases),)
        return tuple({"db": logical} for logical in written.database)

    def _levels(self) -> dict[str, tuple[str, ...]]:
        for engine, names in self.written.levels.items():
            for name in names:
                if name not in LEVELS[engine]:
                    known = LEVELS[engine]
                    raise self.source.error(
                        f"{engine} has no level {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})",
                        "levels",
                        engine,
                    )
        return {engine: tuple(names) for engine, names in self.written.levels.items()}

    def _check_expected_levels(self, scenario: Scenario) -> None:
        for engine, levels in scenario.levels.items():
            if engine in scenario.expect and "any" in scenario.expect[engine]:
                continue
            per_schedule = scenario.schedules and all(
                engine in schedule.expect or not schedule.expect for schedule in scenario.schedules
            )
            for level in levels:
                if level not in scenario.expect.get(engine, {}) and not (
                    per_schedule and all(level in s.expect.get(engine, {}) or "any" in s.expect.get(engine, {})
                                         for s in scenario.schedules)
                ):  # fmt: skip
                    raise self.source.error(
                        f"no expectation for {engine} at {level!r}: add it under expect (or 'any:' for all levels)",
                        "expect",
                        engine,
                    )

    # -- sessions and steps

    def _sessions(self) -> Iterator[Session]:
        names: dict[str, str] = {}
        for name, written in self.written.sessions.items():
            for copy_name, suffix, own in self._copies(name, written):
                path = ("sessions", name)
                default = self._alias(written.on, (*path, "on"))
                steps = []
                for step_name, step in written.steps.items():
                    full = step_name + suffix
                    if full in names:
                        raise self.source.error(
                            f"step {full!r} is in session {names[full]!r} already: a step's name must be unique in the file",
                            *path,
                            "steps",
                            step_name,
                        )
                    names[full] = copy_name
                    steps.append(self._step(full, copy_name, step, default, own, (*path, "steps", step_name)))
                if not steps:
                    raise self.source.error(f"session {name!r} has no steps", *path)
                setup = [
                    self._step(
                        step.run if isinstance(step.run, str) and step.run in VERBS else f"setup {number}",
                        copy_name, step, default, own, (*path, "setup", number - 1),
                    )
                    for number, step in enumerate(written.setup, 1)
                ]  # fmt: skip
                used = [default, *(step.database for step in [*setup, *steps])]
                yield Session(
                    name=copy_name,
                    steps=tuple(steps),
                    setup=tuple(setup),
                    databases=tuple(dict.fromkeys(used)),
                    deadlock_priority=self._priority(written, own, path),
                )

    def _copies(self, name: str, written: SessionWritten) -> Iterator[tuple[str, str, dict[str, Any]]]:
        if written.copies is None:
            yield name, "", {}
            return
        try:
            count = int(expressions.fill(written.copies, self.parameters))
        except (TypeError, ValueError):
            raise self.source.error("copies must be a number", "sessions", name, "copies") from None
        except ScenarioError as error:
            raise self.source.error(error.message, "sessions", name, "copies") from None
        if not 1 <= count <= 256:
            raise self.source.error(f"copies must be 1 to 256, not {count}", "sessions", name, "copies")
        for step in written.steps:
            self.copied[step] = tuple(f"{step}_{i}" for i in range(1, count + 1))
        for i in range(1, count + 1):
            yield f"{name}{i}", f"_{i}", {"i": i, "n": count, "next": i % count + 1}

    def _priority(self, written: SessionWritten, own: Mapping[str, Any], path: Path_) -> str:
        try:
            value = str(expressions.fill(written.deadlock_priority, self.parameters | dict(own)))
        except ScenarioError as error:
            raise self.source.error(error.message, *path, "deadlock_priority") from None
        if value not in ("low", "normal", "high"):
            raise self.source.error(
                f"deadlock_priority is low, normal or high, not {value!r}", *path, "deadlock_priority"
            )
        return value

    def _step(
        self, name: str, session: str, written: StepWritten, default: str, own: Mapping[str, Any], path: Path_
    ) -> Step:
        bodies = written.bodies()
        if not bodies:
            raise self.source.error(f"step {name!r} says nothing to run", *path)
        for engine, body in bodies.items():
            bodies[engine] = self._body(body, engine, path)
        alias = self._alias(written.on, (*path, "on")) if written.on else default
        for item in [*written.reads, *written.writes]:
            if not item.isidentifier():
                raise self.source.error(f"{item!r} is no name for an item (letters, digits and _)", *path)
        return Step(
            name=name,
            session=session,
            database=alias,
            bodies=bodies,
            reads=written.reads,
            writes=written.writes,
            names=own,
            place=self.source.locate(path),
        )

    def _body(self, body: Body | None, engine: str, path: Path_) -> Body | None:
        try:
            if isinstance(body, str):
                if engine == "redis":
                    shlex.split(body)
                else:
                    expressions.check_sql(body)
            expressions.used_in(body)
        except ScenarioError as error:
            raise self.source.error(error.message, *path) from None
        except ValueError as error:
            raise self.source.error(f"not a command line: {error}", *path) from None
        if engine == "mongodb" and isinstance(body, str) and body not in VERBS:
            raise self.source.error("a MongoDB step is a command document, or begin, commit, rollback", *path)
        return body

    def _alias(self, alias: str | None, path: Path_) -> str:
        if alias is None:
            return self.aliases[0]
        if alias not in self.aliases:
            raise self.source.error(self._unknown("database alias", alias, self.aliases, "on"), *path)
        return alias

    # -- set-up and items

    def _statements(self, written: Any, key: str) -> dict[str, Statements]:
        if written is None:
            return {}
        if isinstance(written, dict) and written and set(written) <= set(self.aliases) - set(ENGINES):
            return {alias: self._by_engine(value, (key, alias)) for alias, value in written.items()}
        by_engine = self._by_engine(written, (key,))
        return dict.fromkeys(self.aliases, by_engine)

    def _by_engine(self, written: Any, path: Path_) -> Statements:
        if isinstance(written, dict) and written and set(written) <= {*ENGINES, "*"}:
            return {engine: self._list(value, engine, (*path, engine)) for engine, value in written.items()}
        if isinstance(written, dict):
            known = [*ENGINES, *self.aliases]
            wrong = next((name for name in written if name not in known), "")
            raise self.source.error(
                f"{path[0]} is a list of statements, or such lists by engine or by database: "
                f"unknown {wrong!r}{did_you_mean(wrong, known)}",
                *path,
                wrong,
            )
        named = {
            key for body in _as_list(written) if isinstance(body, dict) and set(body) <= set(ENGINES) for key in body
        }
        if named:
            return {
                engine: self._list(_for_engine(written, engine), engine, path)
                for engine in ENGINES
                if engine in named or engine in ("postgresql", "sqlserver")
            }
        return {"*": self._list(written, "*", path)}

    def _list(self, written: Any, engine: str, path: Path_) -> tuple[Body, ...]:
        bodies = written if isinstance(written, list) else [] if written is None else [written]
        made = []
        for number, body in enumerate(bodies):
            if not isinstance(body, str | dict | list):
                raise self.source.error(f"{body!r} is no statement", *path, number)
            resolved = self._body(body, engine, (*path, number))
            if resolved is not None:
                made.append(resolved)
        return tuple(made)

    def _items(self) -> Iterator[Item]:
        for name, written in self.written.items.items():
            path = ("items", name)
            if not name.isidentifier():
                raise self.source.error(f"{name!r} is no name for an item (letters, digits and _)", *path)
            bodies = {engine: self._body(body, engine, path) for engine, body in written.bodies().items()}
            yield Item(name, self._alias(written.on, (*path, "on")), bodies, written.column, written.predicate)

    def _check_items(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            captured: set[str] = set()
            for step in (*session.setup, *session.steps):
                known = captured | set(self.parameters) | set(step.names)
                for body in [*step.bodies.values(), *step.writes.values()]:
                    for expression in expressions.used_in(body):
                        if unknown := sorted(expression.names() - known):
                            raise ScenarioError(
                                f"step {step.name!r} uses {unknown[0]!r}, which no earlier step of {session.name} reads"
                                f"{did_you_mean(unknown[0], known)}",
                                step.place,
                            )
                captured |= set(step.reads)

    # -- schedules

    def _schedules(self, sessions: tuple[Session, ...], steps: Mapping[str, Step]) -> Iterator[Schedule]:
        written = self.written
        given = [written.schedule is not None, bool(written.schedules), written.free_running is not None]
        if sum(given) > 1:
            raise self.source.error("give one of 'schedule', 'schedules' and 'free_running', not several")
        if written.free_running is not None:
            if len(sessions) != 1:
                raise self.source.error(
                    "free_running needs exactly one session: its workers all run it", "free_running"
                )
            yield Schedule("free-running", ())
        elif written.schedules:
            for name, schedule in written.schedules.items():
                path: Path_ = ("schedules", name)
                at = (*path, "steps") if (*path, "steps") in self.source.places else path
                yield Schedule(
                    name=name,
                    entries=tuple(self._entries(schedule.steps, at, steps)),
                    strict=schedule.strict,
                    expect=self._expectations(schedule.expect, (*path, "expect"), steps, sessions),
                )
        elif isinstance(written.schedule, list):
            if not written.schedule:
                raise self.source.error(
                    "the schedule is empty: list the steps in the order in which they run, or say 'schedule: all'",
                    "schedule",
                )
            yield Schedule(DEFAULT, tuple(self._entries(written.schedule, ("schedule",), steps)))
        elif written.schedule is None and len(sessions) > 1:
            raise self.source.error("no schedule: list the steps in order under 'schedule:', or say 'schedule: all'")
        else:
            seed = written.schedule.seed if isinstance(written.schedule, RandomWritten) else 0
            kind = "random" if isinstance(written.schedule, RandomWritten) else str(written.schedule or "all")
            count = written.schedule.random if isinstance(written.schedule, RandomWritten) else 0
            try:
                yield from interleavings(sessions, kind, count, seed)
            except ScenarioError as error:
                raise self.source.error(error.message, "schedule") from None

    def _entries(self, written: list[Any], path: Path_, steps: Mapping[str, Step]) -> Iterator[Entry]:
        order: dict[str, int] = {}
        if not written:
            raise self.source.error("the schedule is empty: list the steps in the order in which they run", *path)
        for number, entry in enumerate(written):
            at = (*path, number)
            name, claim = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
            until = claim.until or "" if claim else ""
            if until and until not in steps:
                raise self.source.error(self._unknown("step", until, steps, "the schedule"), *at)
            for full in self.copied.get(name, (name,)):
                if full not in steps:
                    raise self.source.error(self._unknown("step", full, [*steps, *self.copied], "the schedule"), *at)
                if until and steps[until].session == steps[full].session:
                    raise self.source.error(f"step {full!r} cannot wait for {until!r} of its own session", *at)
                position = self._position(full, steps)
                session = steps[full].session
                if position <= order.get(session, -1):
                    raise self.source.error(
                        f"step {full!r} stands out of the order of its session {session!r}, or twice", *at
                    )
                order[session] = position
                yield Entry(full, claim.blocks if claim else None, until)

    def _position(self, name: str, steps: Mapping[str, Step]) -> int:
        return [step for step in steps if steps[step].session == steps[name].session].index(name)

    # -- expectations

    def _expectations(
        self, written: Mapping[str, Any], path: Path_, steps: Mapping[str, Step], sessions: Iterable[Session]
    ) -> dict[str, dict[str, Expectation]]:
        made: dict[str, dict[str, Expectation]] = {}
        for engine, by_level in written.items():
            at = (*path, engine)
            if engine not in ENGINES:
                raise self.source.error(self._unknown("engine", engine, ENGINES, "expect"), *at)
            if not isinstance(by_level, dict):
                raise self.source.error(f"under {engine} come levels, or 'any:', each with what is expected", *at)
            if not by_level or set(by_level) & set(ExpectationWritten.model_fields):
                by_level = {"any": by_level}
                where = dict.fromkeys(by_level, at)
            else:
                where = {levels: (*at, levels) for levels in by_level}
            for levels, expectation in by_level.items():
                made_one = self._expectation(expectation, where[levels], steps, sessions)
                for level in (name.strip() for name in levels.split(",")):
                    if level != "any" and level not in LEVELS[engine]:
                        raise self.source.error(
                            self._unknown("level", level, ["any", *LEVELS[engine]], engine), *where[levels]
                        )
                    made.setdefault(engine, {})[level] = made_one
        return made

    def _expectation(
        self, written: Any, path: Path_, steps: Mapping[str, Step], sessions: Iterable[Session]
    ) -> Expectation:
        try:
            value = ExpectationWritten.model_validate(written or {})
        except ValidationError as invalid:
            raise _first_of(self.source, invalid, path) from None
        try:
            victim = str(expressions.fill(value.victim or "", self.parameters))
            final = expressions.fill(value.final, self.parameters)
            errors = self._named(value.errors)
            sees = self._named(value.sees)
        except ScenarioError as error:
            raise self.source.error(error.message, *path) from None
        for key, by_step in (("errors", errors), ("sees", sees)):
            for name in by_step:
                if name not in steps:
                    raise self.source.error(self._unknown("step", name, steps, f"expect.{key}"), *path, key, name)
        for name in value.blocks or []:
            if name not in steps and name not in self.copied:
                raise self.source.error(self._unknown("step", name, steps, "expect.blocks"), *path, "blocks")
        for name in value.final:
            if name not in self.written.items:
                raise self.source.error(
                    self._unknown("item", name, self.written.items, "expect.final"), *path, "final", name
                )
        if victim and victim not in (names := [session.name for session in sessions]):
            raise self.source.error(self._unknown("session", victim, names, "expect.victim"), *path, "victim")
        blocks = None if value.blocks is None else tuple(
            full for name in value.blocks for full in self.copied.get(name, (name,))
        )  # fmt: skip
        return Expectation(
            finds=tuple(Phenomenon(name) for name in value.finds),
            allows=tuple(Phenomenon(name) for name in value.allows),
            victim=victim,
            errors=errors,
            blocks=blocks,
            sees=sees,
            final=final,
            counts=value.counts,
        )

    def _named(self, by_step: Mapping[str, Any]) -> dict[str, Any]:
        """Steps of copied sessions may be named with a parameter: ``want_${n}``."""
        return {str(expressions.fill(step, self.parameters)): value for step, value in by_step.items()}

    def _unknown(self, what: str, name: str, known: Iterable[str], where: str) -> str:
        known = list(known)
        return f"unknown {what} {name!r} in {where}{did_you_mean(name, known)} (known: {', '.join(known) or 'none'})"


def _like(declared: Any, value: str, name: str) -> Any:
    """``value`` as the type of the declared default."""
    try:
        return type(declared)(value)
    except ValueError:
        kind = type(declared).__name__
        raise ScenarioError(f"--set {name}={value}: this parameter is a number ({kind}), like {declared}") from None


def _as_list(written: Any) -> list[Any]:
    return written if isinstance(written, list) else []


def _for_engine(written: list[Any], engine: str) -> list[Any]:
    """A list of statements, some of them given by engine, as one engine sees it."""
    of_engine = [body.get(engine) if isinstance(body, dict) and set(body) <= set(ENGINES) else body for body in written]
    return [body for body in of_engine if body is not None]


def engines_of(scenario: Scenario) -> tuple[str, ...]:
    """The engines that a scenario has expectations for, in the order of its file."""
    return tuple(dict.fromkeys([*scenario.levels, *scenario.expect])) or (
        REAL_ENGINE[next(iter(scenario.placements[0].values()))],
    )
