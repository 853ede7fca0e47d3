"""A file of plan pairs as people write it: the shape that pydantic checks and the JSON Schema describes."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator, field_validator

from harness.plans.model import Access
from harness.scenario.forms import EngineName, Logical, Name, Scalar, Written, different, many, one_of
from harness.scenario.problems import shown
from harness.vocabulary import ENGINES

SIZES = ("tiny", "small", "medium", "full")
"""Of the seeded data, the smallest first."""

_ACCESSES = tuple(access.value for access in Access if access is not Access.other)
_RELATION = re.compile(r"\s*(fewer|more|the same|(?P<sign><|<=|>|>=)\s*(?P<number>\d+(\.\d+)?))\s*\Z")
_NAMED = re.compile(r"drop\s+(?!index\b)(?P<names>[\w$.]+(\s*,\s*[\w$.]+)*)\s*\Z", re.IGNORECASE)

Statement = str | dict[str, Any]
ByEngine = dict[EngineName, Any]


def is_by_engine(value: Any) -> bool:
    """Whether a mapping gives something for each engine; a MongoDB command does not."""
    return isinstance(value, dict) and bool(value) and set(value) <= set(ENGINES)


def dropped(text: str) -> tuple[str, ...] | None:
    """The indexes that ``drop ix_a, ix_b`` names; None if the text is a statement.

    >>> dropped("drop ix_a, ix_b"), dropped("DROP INDEX ix_a")
    (('ix_a', 'ix_b'), None)
    """
    found = _NAMED.match(text)
    return tuple(name.strip() for name in found["names"].split(",")) if found else None


def _statement(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, dict) and value:
        return value
    raise ValueError(f"it is a statement or a command document, not {shown(value)}")


def _query(value: Any) -> Any:
    if is_by_engine(value):
        return {engine: _statement(body) for engine, body in value.items()}
    return _statement(value)


def _changes(value: Any) -> Any:
    if is_by_engine(value):
        return {engine: _changes(one) for engine, one in value.items()}
    if isinstance(value, list):
        return [_statement(one) for one in value]
    return [] if value == "none" else [_statement(value)]


_Body = str | dict[str, Any]
Query = Annotated[Any, PlainValidator(_query, json_schema_input_type=_Body)]
Changes = Annotated[
    Any,
    PlainValidator(_changes, json_schema_input_type=_Body | list[_Body]),
]


Size = Annotated[str, AfterValidator(one_of("size", SIZES)), Field(json_schema_extra={"enum": list(SIZES)})]


def _relation(value: str) -> str:
    if not _RELATION.match(value):
        raise ValueError(f"{value!r} is no relation: fewer, more, the same, or as '< 0.1': of what it was before")
    return value


Relation = Annotated[str, AfterValidator(_relation)]
Word = Annotated[str, AfterValidator(one_of("access", _ACCESSES)), Field(json_schema_extra={"enum": list(_ACCESSES)})]


class SideWritten(Written):
    """How a table is expected to be read on one side."""

    access: Word | None = None
    index: str = Field(default="", description="by this index")


def _side(value: Any) -> Any:
    return {"access": value} if isinstance(value, str) else value


Side = Annotated[SideWritten, BeforeValidator(_side, json_schema_input_type=Word | SideWritten)]


class ExpectWritten(Written):
    """What the index is expected to change. What is not said is not judged."""

    on: str = Field(default="", description="the table or collection; not needed where the statement reads only one")
    before: Side | None = None
    after: Side | None = None
    buffers: Relation | None = Field(default=None, description="pages touched after, as against before: fewer, '< 0.1'")
    examined: Relation | None = Field(default=None, description="rows or documents looked at after, as against before")
    keys: Relation | None = Field(default=None, description="index keys examined after, as against before")
    sort: Literal["goes", "comes", "stays"] | None = None


class PairWritten(Written):
    """One statement and what it is run without and with."""

    title: str = ""
    about: str = ""
    database: Logical | None = Field(default=None, description="if it is another one than the file's")
    query: Query = Field(
        description="the name of schemas/DATABASE/ENGINE/queries/NAME.sql, a statement, a command document, or one of "
        "these by engine"
    )
    parameters: dict[Name, Scalar] = Field(default={}, description="values that the statement names, always bound")
    setup: Changes = Field(default=[], description="statements that both sides need; undone at the end")
    before: Changes = Field(default=[], description="'drop INDEX', statements, or none: as it is; also by engine")
    after: Changes = Field(default=[], description="CREATE INDEX …, or none: as it is; also by engine")
    expect: dict[EngineName, ExpectWritten] = {}
    expected_from: Size | None = Field(
        default=None, description="the size of data from which on that is expected; else the file's 'data:'"
    )
    data: (
        Annotated[str, AfterValidator(one_of("size", SIZES)), Field(json_schema_extra={"enum": list(SIZES)})] | None
    ) = None

    @field_validator("query")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value


class PlansWritten(Written):
    """A file of pairs."""

    model_config = ConfigDict(
        title="PromptSales Harness plans",
        json_schema_extra={"$schema": "https://json-schema.org/draft/2020-12/schema"},
    )

    title: str = Field(min_length=1)
    about: str = ""
    marks: Annotated[
        list[Literal["plans"]],
        BeforeValidator(many, json_schema_input_type=Literal["plans"] | list[Literal["plans"]]),
        AfterValidator(different),
    ] = Field(default=[], description="'plans' is on all of them")
    database: Logical | None = Field(default=None, description="the logical database of its pairs")
    data: Size = Field(
        default="small",
        description="what the throw-away databases are seeded with; expectations hold for data of this size and more",
    )
    runs: int = Field(default=7, ge=1, le=1000, description="warm runs of each side whose median is told")
    plans: dict[Name, PairWritten] = Field(min_length=1)


def schema() -> dict[str, Any]:
    """The JSON Schema of such files, short forms and all; ``plans.schema.json`` is its text."""
    return PlansWritten.model_json_schema(mode="validation")


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
