"""A scenario file as people write it: the shape that pydantic checks and the JSON Schema describes.

Short forms are widened here (a step that is only text, a list where one is enough), so that everything behind this
module sees one form. What needs the whole file to be judged (names that must exist, expectations that must not be
missing) is :mod:`harness.scenario.load`'s.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)

from harness.scenario.forms import (
    EngineName,
    Logical,
    Name,
    Names,
    Role,
    Scalar,
    SessionName,
    Written,
    different,
    many,
    many_or_mapping,
    one_of,
)
from harness.scenario.written_expect import Expect
from harness.scenario.written_matrix import Matrix
from harness.scenario.written_schedules import Schedule, Schedules
from harness.scenario.written_steps import Body, Item, Step, StepWritten
from harness.vocabulary import ENGINES

__all__ = ["MARKS", "Body", "ScenarioWritten", "SessionWritten", "schema"]

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
    "matrix",
)
"""The marks a scenario may carry; pytest's ``-m`` selects by them. ``isolation`` is on every scenario."""


_Steps = Annotated[
    list[Step], BeforeValidator(many_or_mapping, json_schema_input_type=str | StepWritten | list[str | StepWritten])
]


class SessionWritten(Written):
    """A session: its own connection, its steps in order."""

    steps: dict[str, Step] = Field(min_length=1)
    setup: _Steps = Field(default=[], description="run before the schedule begins, in order: usually 'begin'")
    teardown: _Steps = Field(default=[], description="run after the schedule, in order, whatever became of it")
    on: Names = Field(
        default=[],
        description="the alias of the database it speaks to, if there are several; the host that it runs on, one of "
        "'hosts:' (copies: several, dealt to them in turn)",
    )
    deadlock_priority: str = Field(
        default="normal",
        description="low, normal or high, or ${…}; low: the server's likely victim. "
        "On PostgreSQL it must be the last to wait.",
    )
    copies: Annotated[Scalar, Field(json_schema_extra={"type": ["integer", "string"]})] | None = Field(
        default=None, description="make N sessions NAME1…NAMEn of it, steps STEP_1…STEP_n"
    )


class FreeRunningWritten(Written):
    """Workers that run the session's steps over and over, all at once, with no schedule."""

    workers: int = Field(ge=1, le=256)
    iterations: int = Field(ge=1, le=1_000_000)


# -- the file

_Statements = str | list[Any] | dict[str, Any] | None


_Mark = Annotated[str, AfterValidator(one_of("mark", MARKS)), Field(json_schema_extra={"enum": list(MARKS)})]


def _setting(value: str) -> str:
    if not value.strip():
        raise ValueError("a setting has a name")
    return value


_LATE = ("end", "cancel")
_VALUES = ("typed", "text")
_FILLED = ("empty", "sample")
_Treatment = Annotated[str, AfterValidator(one_of("treatment", _LATE)), Field(json_schema_extra={"enum": list(_LATE)})]
_Form = Annotated[str, AfterValidator(one_of("form", _VALUES)), Field(json_schema_extra={"enum": list(_VALUES)})]
_Data = Annotated[str, AfterValidator(one_of("data", _FILLED)), Field(json_schema_extra={"enum": list(_FILLED)})]
_Setting = Annotated[str, AfterValidator(_setting)]


class ScenarioWritten(Written):
    """A scenario file."""

    model_config = ConfigDict(
        title="PromptSales Harness scenario",
        json_schema_extra={"$schema": "https://json-schema.org/draft/2020-12/schema"},
    )

    title: str = Field(min_length=1)
    about: str = Field(default="", description="what it shows, in a paragraph")
    marks: Annotated[
        list[_Mark],
        BeforeValidator(many, json_schema_input_type=_Mark | list[_Mark]),
        AfterValidator(different),
    ] = []
    database: Annotated[
        list[Logical],
        BeforeValidator(many, json_schema_input_type=Logical | list[Logical]),
        AfterValidator(different),
    ] = Field(default=[], description="where it runs: on each of these, one after the other")
    databases: dict[Name, Logical] = Field(default={}, description="where it runs: on all of these at once, by alias")
    hosts: Annotated[
        list[Role], BeforeValidator(many, json_schema_input_type=Role | list[Role]), AfterValidator(different)
    ] = Field(
        default=[],
        description="machines that its sessions run on, by role; which ones those are, --tx says: without it all run here",
    )
    levels: dict[EngineName, Names] = Field(default={}, description="engine: the isolation levels to run at")
    parameters: dict[Name, Scalar] = Field(default={}, description="values that --set can change")
    settings: dict[EngineName, dict[_Setting, Scalar]] = Field(
        default={}, description="engine: setting: the value that it has in each session"
    )
    values: _Form = Field(default="typed", description="text: values are kept as the server writes them")
    shared: bool = Field(
        default=False,
        description="all cases share one database and each session's connection, one case after the other",
    )
    matrix: Matrix | None = Field(default=None, description="the cell of the isolation matrix that it decides")
    data: _Data | None = Field(
        default=None,
        description="what the databases have in them before the set-up: the objects that schemas/ declares, empty, "
        "or with the sample's rows; nothing at all if it is not said",
    )
    database_name: str = Field(default="", description="what the database must be called, because statements name it")
    setup: Annotated[Any, BeforeValidator(lambda value: value, json_schema_input_type=_Statements)] = Field(
        default=None, description="statements; by engine, by database alias, or the same for all"
    )
    teardown: Annotated[Any, BeforeValidator(lambda value: value, json_schema_input_type=_Statements)] = None
    items: dict[Name, Item] = {}
    sessions: dict[SessionName, SessionWritten] = Field(min_length=1)
    schedule: Schedule | None = None
    schedules: Schedules = Field(
        default={}, description="several, by name: listed, or made (NAME-1, …); or only made ones: all, reduced, random"
    )
    free_running: FreeRunningWritten | None = None
    expect: Expect = Field(description="engine: level: expectation", min_length=1)
    break_cycle: str | None = Field(
        default=None, description="the step that the harness cancels when it finds a deadlock that no server can see"
    )
    sensitive: Names = Field(default=[], description="columns and captured values that are never recorded")
    deadline: float = Field(default=15.0, gt=0, le=86400, description="seconds that a step may take")
    late_steps: _Treatment = Field(
        default="end", description="a step past its deadline ends the case, or is cancelled and the case goes on"
    )
    case_deadline: float = Field(default=60.0, gt=0, le=86400, description="seconds that a case may take")

    @field_validator("databases")
    @classmethod
    def _no_engine_as_alias(cls, value: dict[str, str]) -> dict[str, str]:
        for alias in value:
            if alias in ENGINES:
                raise ValueError(f"{alias!r} is an engine's name: give the database another alias")
        return value


def schema() -> dict[str, Any]:
    """The JSON Schema of scenario files, short forms and all; ``scenario.schema.json`` is its text."""
    return ScenarioWritten.model_json_schema(mode="validation")


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
