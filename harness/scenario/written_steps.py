"""Steps and items as people write them: a statement for every engine, or one for each."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from harness.scenario.forms import Name, Written
from harness.scenario.problems import shown
from harness.vocabulary import ENGINES

Body = str | dict[str, Any] | list[str]
"""A statement as written: SQL or a verb (begin, commit, rollback), a MongoDB command, a Redis command line."""


def _statement(value: Any) -> Body:
    if isinstance(value, list) and value and all(isinstance(word, str | int | float) for word in value):
        return [word if isinstance(word, str) else str(word) for word in value]
    if isinstance(value, str | dict) and value and not (isinstance(value, str) and value.isspace()):
        return value
    empty = " (it is empty)" if value in ("", {}, []) or isinstance(value, str) else ""
    raise ValueError(f"a statement is a text, a command document or a list of words, not {shown(value)}{empty}")


_Input = str | dict[str, Any] | list[str | int | float]
Statement = Annotated[Body, PlainValidator(_statement, json_schema_input_type=_Input)]
Sent = Annotated[
    Body,
    PlainValidator(lambda value: value if isinstance(value, str) else _statement(value), json_schema_input_type=_Input),
]
"""A statement as written, an empty text, too: somebody who writes ``{run: ''}`` means to send it."""


class PerEngine(Written):
    """A statement for every engine, or one for each."""

    run: Statement | None = Field(default=None, description="a statement, or begin, commit, rollback")
    postgresql: Statement | None = None
    sqlserver: Statement | None = None
    mongodb: Statement | None = None
    redis: Statement | None = None
    on: str | None = Field(default=None, description="the database's alias, if not the session's")

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        if all(body is None for body in self.bodies().values()):
            raise ValueError("it says nothing to run: give it a statement")
        return self

    def bodies(self) -> dict[str, Body | None]:
        """Statement by engine; ``*`` is everyone else's. An engine given as null maps to None."""
        given = {name: getattr(self, name) for name in ENGINES if name in self.model_fields_set}
        return given | ({"*": self.run} if "run" in self.model_fields_set else {})


def _columns(value: Any) -> Any:
    if isinstance(value, str | list):
        return _empty_each(value)
    return (
        {item: "" if column is None else column for item, column in value.items()} if isinstance(value, dict) else value
    )


def _empty_each(value: Any) -> Any:
    if isinstance(value, str):
        return {value: ""}
    return (
        dict.fromkeys(value, "") if isinstance(value, list) and all(isinstance(item, str) for item in value) else value
    )


_Short = str | list[str] | dict[str, Any]


class StepWritten(PerEngine):
    """One step. ``run`` serves every engine that has no text of its own; an engine whose text is null skips the step."""

    run: Sent | None = Field(
        default=None, description="a statement, or begin, commit, rollback; an empty one is sent as it is"
    )
    reads: Annotated[dict[Name, str], BeforeValidator(_columns, json_schema_input_type=_Short)] = Field(
        default={},
        description="items that the step reads: item: column (the first column if empty); "
        "the value can be used by later steps of the session as ${item}",
    )
    plan: bool = Field(default=False, description="keep how the server executes the step; what it does stays the same")
    writes: Annotated[dict[Name, Any], BeforeValidator(_empty_each, json_schema_input_type=_Short)] = Field(
        default={},
        description="items that the step writes, with the value; empty: what the step returns, or its only ${…}",
    )


def _step(value: Any) -> Any:
    """The long form. An empty text stands for an empty statement only there: here, something was forgotten."""
    return {} if value is None else {"run": _statement(value)} if isinstance(value, str | list) else value


Step = Annotated[StepWritten, BeforeValidator(_step, json_schema_input_type=str | list[str] | StepWritten)]


class ItemWritten(PerEngine):
    """A value of the database that the scenario is about; the harness reads it before and after."""

    column: str = ""
    predicate: bool = Field(default=False, description="it is a set (a count, a sum over a condition), not a row")


Item = Annotated[ItemWritten, BeforeValidator(_step, json_schema_input_type=str | list[str] | ItemWritten)]
