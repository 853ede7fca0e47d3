"""A scenario file as people write it: the shape that pydantic checks and the JSON Schema describes.

Short forms are widened here (a step that is only text, a list where one is enough), so that everything behind this
module sees one form. What needs the whole file to be judged (names that must exist, expectations that must not be
missing) is :mod:`harness.scenario.load`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from harness.errors import did_you_mean
from harness.history import ErrorKind
from harness.vocabulary import ENGINES, LOGICAL, phenomenon

Body = str | dict[str, Any] | list[str]
"""A statement as written: SQL or a verb (begin, commit, rollback), a MongoDB command, a Redis command line."""

MARKS = (
    "deadlock",
    "dirty_read",
    "lost_update",
    "incorrect_summary",
    "non_repeatable_read",
    "phantom",
    "write_skew",
    "read_only_anomaly",
    "dirty_write",
    "isolation",
    "two_host",
    "plans",
    "load",
    "etl",
)
"""The marks a scenario may carry; pytest's ``-m`` selects by them. ``isolation`` is on every scenario."""


class Written(BaseModel):
    """Base: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _one_of(value: str, known: tuple[str, ...], what: str) -> str:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}{did_you_mean(value, known)} (known: {', '.join(known)})")
    return value


def _many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_many, json_schema_input_type=str | list[str])]
Logical = Annotated[str, Field(json_schema_extra={"enum": list(LOGICAL)})]


class PerEngine(Written):
    """A statement for every engine, or one for each."""

    run: Body | None = Field(default=None, description="a statement, or begin, commit, rollback")
    postgresql: Body | None = None
    sqlserver: Body | None = None
    mongodb: Body | None = None
    redis: Body | None = None
    on: str | None = Field(default=None, description="the database's alias, if not the session's")

    def bodies(self) -> dict[str, Body | None]:
        """Statement by engine; ``*`` is everyone else's. An engine given as null maps to None."""
        given = {name: getattr(self, name) for name in ENGINES if name in self.model_fields_set}
        return given | ({"*": self.run} if "run" in self.model_fields_set else {})


class StepWritten(PerEngine):
    """One step. ``run`` serves every engine that has no text of its own; an engine whose text is null skips the step."""

    reads: dict[str, str] = Field(
        default={},
        description="items that the step reads: item: column (the first column if empty); "
        "the value can be used by later steps of the session as ${item}",
    )
    writes: dict[str, Any] = Field(
        default={},
        description="items that the step writes, with the value; empty: what the step returns, or its only ${…}",
    )

    @field_validator("reads", "writes", mode="before", json_schema_input_type=str | list[str] | dict[str, Any])
    @classmethod
    def _items(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {value: ""}
        if isinstance(value, list):
            return dict.fromkeys(value, "")
        return value


def _step(value: Any) -> Any:
    return {"run": value} if isinstance(value, str | list) or value is None else value


Step = Annotated[StepWritten, BeforeValidator(_step, json_schema_input_type=str | list[str] | StepWritten)]


def _steps(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value


class SessionWritten(Written):
    """A session: its own connection, its steps in order."""

    steps: dict[str, Step]
    setup: Annotated[
        list[Step], BeforeValidator(_steps, json_schema_input_type=str | StepWritten | list[str | StepWritten])
    ] = Field(default=[], description="run before the schedule begins, in order: usually 'begin'")
    on: str | None = Field(default=None, description="the alias of the database it speaks to, if there are several")
    deadlock_priority: Literal["low", "normal", "high"] | str = Field(
        default="normal", description="low: the server's likely victim. On PostgreSQL it must be the last to wait."
    )
    copies: int | str | None = Field(default=None, description="make N sessions NAME1…NAMEn of it, steps STEP_1…STEP_n")


class ItemWritten(PerEngine):
    """A value of the database that the scenario is about; the harness reads it before and after."""

    column: str = ""
    predicate: bool = Field(default=False, description="it is a set (a count, a sum over a condition), not a row")


class ClaimWritten(Written):
    """What a schedule's entry claims of its step, at every level."""

    blocks: bool | None = None
    until: str | None = Field(default=None, description="completes only after this step has completed")


def _claim(value: Any) -> Any:
    if value == "blocks":
        return {"blocks": True}
    if value in ("runs", "does not block"):
        return {"blocks": False}
    return value


Claim = Annotated[
    ClaimWritten,
    BeforeValidator(_claim, json_schema_input_type=Literal["blocks", "runs", "does not block"] | ClaimWritten),
]
Entry = str | Annotated[dict[str, Claim], Field(min_length=1, max_length=1)]


class RandomWritten(Written):
    """N interleavings drawn at random; the same seed draws the same ones."""

    random: int = Field(ge=1, le=10_000)
    seed: int = 1


class ExpectationWritten(Written):
    """What must come out. Whatever is not named must not happen: no other phenomenon, no other error."""

    finds: Names = Field(default=[], description="the phenomena that must be found")
    allows: Names = Field(default=[], description="phenomena that may be found besides")
    victim: str | None = Field(default=None, description="the session that the deadlock's victim must be")
    errors: dict[str, str] = Field(default={}, description="step: kind of error or code")
    blocks: list[str] | None = Field(default=None, description="exactly these steps must have been blocked")
    sees: dict[str, Any] = Field(default={}, description="step: the value that it must have read")
    final: dict[str, Any] = Field(default={}, description="item: its value at the end")
    counts: dict[str, Any] = Field(default={}, description="free-running: committed, or a kind of error: how many")

    @field_validator("finds", "allows")
    @classmethod
    def _phenomena(cls, value: list[str]) -> list[str]:
        return [phenomenon(name).value for name in value if name != "nothing"]

    @field_validator("errors")
    @classmethod
    def _kinds(cls, value: dict[str, str]) -> dict[str, str]:
        kinds = tuple(kind.value for kind in ErrorKind)
        for kind in value.values():
            if kind.islower() and kind not in kinds and not any(char.isdigit() for char in kind):
                _one_of(kind, kinds, "kind of error")
        return value


class ScheduleWritten(Written):
    """One interleaving with a name of its own."""

    steps: list[Entry] = Field(min_length=1)
    strict: bool = Field(
        default=False, description="wait where a session is still blocked, instead of letting the other sessions go on"
    )
    expect: dict[str, Any] = Field(default={}, description="in place of the scenario's expectation")


class FreeRunningWritten(Written):
    """Workers that run the session's steps over and over, all at once, with no schedule."""

    workers: int = Field(ge=1, le=256)
    iterations: int = Field(ge=1, le=1_000_000)


def _databases(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ScenarioWritten(Written):
    """A scenario file."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="PromptSales Harness scenario")

    title: str = Field(min_length=1)
    about: str = Field(default="", description="what it shows, in a paragraph")
    marks: Names = []
    database: Annotated[list[Logical], BeforeValidator(_databases, json_schema_input_type=Logical | list[Logical])] = (
        Field(default=[], description="where it runs: on each of these, one after the other")
    )
    databases: dict[str, Logical] = Field(default={}, description="where it runs: on all of these at once, by alias")
    levels: dict[str, Names] = Field(default={}, description="engine: the isolation levels to run at")
    parameters: dict[str, int | float | str] = Field(default={}, description="values that --set can change")
    setup: Any = Field(default=None, description="statements; by engine, by database alias, or the same for all")
    teardown: Any = None
    items: dict[
        str, Annotated[ItemWritten, BeforeValidator(_step, json_schema_input_type=str | list[str] | ItemWritten)]
    ] = {}
    sessions: dict[str, SessionWritten] = Field(min_length=1)
    schedule: Literal["all", "reduced"] | RandomWritten | list[Entry] | None = None
    schedules: dict[
        str,
        Annotated[
            ScheduleWritten,
            BeforeValidator(
                lambda value: {"steps": value} if isinstance(value, list) else value,
                json_schema_input_type=list[Entry] | ScheduleWritten,
            ),
        ],
    ] = {}
    free_running: FreeRunningWritten | None = None
    expect: dict[str, Any] = Field(description="engine: level: expectation")
    break_cycle: str | None = Field(
        default=None, description="the step that the harness cancels when it finds a deadlock that no server can see"
    )
    sensitive: list[str] = Field(default=[], description="columns and captured values that are never recorded")
    deadline: float = Field(default=15.0, gt=0, le=3600, description="seconds that a step may take")
    case_deadline: float = Field(default=60.0, gt=0, le=86400, description="seconds that a case may take")

    @field_validator("database")
    @classmethod
    def _logical(cls, value: list[str]) -> list[str]:
        return [_one_of(name, LOGICAL, "database") for name in value]

    @field_validator("databases")
    @classmethod
    def _logicals(cls, value: dict[str, str]) -> dict[str, str]:
        return {alias: _one_of(name, LOGICAL, "database") for alias, name in value.items()}

    @field_validator("marks")
    @classmethod
    def _marks(cls, value: list[str]) -> list[str]:
        return [_one_of(mark, MARKS, "mark") for mark in value]

    @field_validator("levels")
    @classmethod
    def _engines(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for name in value:
            _one_of(name, ENGINES, "engine")
        return value
