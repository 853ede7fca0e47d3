"""A load file as people write it: the shape that pydantic checks and the JSON Schema describes.

``python -m harness.load.written > harness/load/load.schema.json`` renews the schema's text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from harness.answers import ErrorKind
from harness.load.catalogue import USERS
from harness.scenario.forms import EngineName, Logical, Scalar, Written, different, many, one_of
from harness.scenario.problems import shown
from harness.scenario.written import MARKS
from harness.scenario.written_steps import PerEngine

DATA = ("tiny", "small", "medium", "full")
"""How much is in the throw-away databases of a run: the seeder's sizes."""

KINDS = tuple(kind.value for kind in ErrorKind)
REFUSALS = (ErrorKind.deadlock, ErrorKind.serialization, ErrorKind.conflict, ErrorKind.lock_timeout)
"""What is refused because others were there: the same again may go well."""


def _kind(value: Any) -> Any:
    """By its plain name, or by a word of it: ``serialization`` is a serialization failure."""
    known = {kind.name: kind.value for kind in ErrorKind}
    return known.get(value.strip().replace(" ", "_"), value) if isinstance(value, str) else value


Kind = Annotated[
    str,
    AfterValidator(one_of("kind of error", KINDS)),
    BeforeValidator(_kind),
    Field(json_schema_extra={"enum": [*KINDS, *(kind.name for kind in ErrorKind if kind.name not in KINDS)]}),
]


def _none_or_many(value: Any) -> Any:
    return [] if value == "none" else many(value)


Kinds = Annotated[
    list[Kind],
    BeforeValidator(_none_or_many, json_schema_input_type=Literal["none"] | Kind | list[Kind]),
    AfterValidator(different),
]


def _think(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value, value]
    if not (isinstance(value, list) and len(value) == 2 and all(_is_number(one) for one in value)):
        raise ValueError(f"a user thinks for a number of seconds, or [least, most], not {shown(value)}")
    if not 0 <= value[0] <= value[1]:
        raise ValueError(f"a user cannot think from {value[0]} to {value[1]} seconds")
    return (float(value[0]), float(value[1]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


Think = Annotated[
    tuple[float, float],
    BeforeValidator(_think, json_schema_input_type=float | Annotated[list[float], Field(min_length=2, max_length=2)]),
]


class UserWritten(Written):
    """One kind of user among the others."""

    weight: int = Field(default=1, ge=1, le=10_000, description="how many there are beside the other kinds")
    think: Think | None = Field(default=None, description="seconds between two tasks; the file's if it is not said")
    tasks: dict[str, Annotated[int, Field(ge=0, le=10_000)]] = Field(
        default={}, description="how often it does what, instead of its usual weights; what is not named it does not do"
    )
    level: str = Field(default="", description="the isolation level of its transactions; the server's own if not said")
    among: int | None = Field(
        default=None, ge=1, description="it works on so many ids only, which are then hot: contention on purpose"
    )


def _user(value: Any) -> Any:
    return {"weight": value} if isinstance(value, int) and not isinstance(value, bool) else value


User = Annotated[UserWritten, BeforeValidator(_user, json_schema_input_type=int | UserWritten)]

Height = Annotated[float, Field(ge=0, le=1)]


class RampWritten(Written):
    """From a part of the users to all of them."""

    start: Height = Field(default=0.1, description="the part that is there at the beginning")
    until: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="when all are there, as a part of the run's time"
    )


class ShapeWritten(Written):
    """How high the load is over the run's time: 1 is all users, or the whole rate."""

    ramp: RampWritten | None = None
    steps: Annotated[list[Height], Field(min_length=1)] | None = Field(
        default=None, description="heights, each for an equal part of the time"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.ramp is None) == (self.steps is None):
            raise ValueError("a shape is one of ramp and steps")
        return self


SHAPES = ("steady", "december peak")


def _shape(value: Any) -> Any:
    if isinstance(value, str):
        return one_of("shape", (*SHAPES, "ramp"))(value) if value != "ramp" else {"ramp": {}}
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"a shape is steady, ramp, december peak, {{ramp: …}} or {{steps: […]}}, not {shown(value)}")


Shape = Annotated[str | ShapeWritten, BeforeValidator(_shape)]


class OpenWritten(Written):
    """Requests begin by the clock, whether the ones before have ended or not."""

    open: Annotated[float, Field(gt=0, le=1_000_000)] = Field(description="how many begin in a second")


def _arrivals(value: Any) -> Any:
    if isinstance(value, str):
        return one_of("way to arrive", ("closed",))(value)
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"arrivals are closed, or {{open: how many in a second}}, not {shown(value)}")


Arrivals = Annotated[str | OpenWritten, BeforeValidator(_arrivals)]


class RetryWritten(Written):
    """What a user does that was refused because of others: the same again, after a while that is drawn."""

    tries: int = Field(default=5, ge=1, le=1000, description="in all; 1: never again")
    first: float = Field(default=0.01, ge=0, le=60, description="seconds: the first wait is drawn from 0 to this")
    most: float = Field(default=0.5, ge=0, le=600, description="seconds: each bound is twice the last, up to this")
    kinds: Kinds = Field(
        default=[kind.value for kind in REFUSALS], description="kinds of refusals after which it is tried again"
    )


class LoadPart(Written):
    """Who does how much of what, and how."""

    users: dict[str, User] = Field(min_length=1, description="kinds of users: weight, or more about them")
    count: int = Field(default=8, ge=1, le=100_000, description="how many users there are at the shape's full height")
    seconds: float = Field(default=4, gt=0, le=7 * 86400, description="how long it takes")
    think: Think = Field(
        default=(0.0, 0.0), description="seconds between two tasks of a user: a number, or [least, most]"
    )
    shape: Shape = Field(default="steady", description="steady, ramp, december peak, {ramp: …}, {steps: […]}")
    arrivals: Arrivals = Field(default="closed", description="closed: who has an answer asks again; {open: rate}")
    retry: RetryWritten = RetryWritten()
    skew: float = Field(
        default=3, ge=1, le=20, description="how uneven ids are drawn: 1 evenly; at 3 a hundredth of them gets a fifth"
    )


class LoadExpect(Written):
    """What must be so on one engine after the run. Never how fast: that is the machine's."""

    errors: Kinds = Field(
        default=[], description="kinds of errors in which requests may end for good; none if not said"
    )
    sees: Kinds = Field(default=[], description="kinds of refusals that must have been there, retried or not")
    done: Annotated[list[str], BeforeValidator(many, json_schema_input_type=str | list[str])] = Field(
        default=[], description="requests that must have ended well at least once"
    )


class CheckWritten(PerEngine):
    """A statement that is run before and after; what its first row's first column must be."""

    title: str = Field(min_length=1)
    on: Logical = Field(description="the database")
    unchanged: bool = Field(default=False, description="after the run it must give what it gave before")
    equals: Scalar | None = Field(default=None, description="after the run it must give this")

    @model_validator(mode="after")
    def _one_claim(self) -> Self:
        if self.unchanged == (self.equals is not None):
            raise ValueError("a check says either 'unchanged: true' or 'equals: …'")
        return self


class LoadWritten(Written):
    """A load file."""

    model_config = ConfigDict(
        title="PromptSales Harness load",
        json_schema_extra={"$schema": "https://json-schema.org/draft/2020-12/schema"},
    )

    title: str = Field(min_length=1)
    about: str = Field(default="", description="what it shows, in a paragraph")
    marks: Annotated[
        list[Annotated[str, AfterValidator(one_of("mark", MARKS)), Field(json_schema_extra={"enum": list(MARKS)})]],
        BeforeValidator(many, json_schema_input_type=str | list[str]),
        AfterValidator(different),
    ] = []
    data: Annotated[str, AfterValidator(one_of("data", DATA)), Field(json_schema_extra={"enum": list(DATA)})] = Field(
        default="small", description="how much the run's throw-away databases hold: one of the seeder's sizes"
    )
    load: LoadPart
    expect: dict[EngineName, LoadExpect] = Field(default={}, description="engine: what must be so")
    checks: list[CheckWritten] = Field(default=[], description="what must be so in the databases after the run")


def schema() -> dict[str, Any]:
    """The JSON Schema of load files; ``load.schema.json`` is its text."""
    made = LoadWritten.model_json_schema(mode="validation")
    made["$defs"]["LoadPart"]["properties"]["users"]["propertyNames"] = {"enum": list(USERS)}
    return made


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
