"""The small forms that a scenario file is made of: words that must be known, names, lists where one is enough."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from harness.scenario.problems import shown, unknown
from harness.vocabulary import ENGINES, LOGICAL


class Written(BaseModel):
    """Base: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_keys(cls, value: Any) -> Any:
        # Before pydantic's own check: here it is known which keys would do, and a typo is not told as a lack, too.
        for key in value if isinstance(value, Mapping) else ():
            if key not in cls.model_fields:
                text = unknown("key", str(key), cls.model_fields)
                raise PydanticCustomError("unknown_key", "{text}", {"key": key, "text": text})
        return value


def one_of(what: str, known: tuple[str, ...]) -> Callable[[str], str]:
    """A check that a word is among ``known``."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(unknown(what, value, known))
        return value

    return check


def many(value: Any) -> Any:
    """A list, where only its one text was written."""
    return [value] if isinstance(value, str) else value


def many_or_mapping(value: Any) -> Any:
    """A list, where only its one text or mapping was written."""
    return [value] if isinstance(value, str | Mapping) else value


def different(values: list[str]) -> list[str]:
    """The list; ValueError if something stands in it twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} stands in this list twice")
    return values


def _name(value: str) -> str:
    if not value.isidentifier():
        raise ValueError(f"{value!r} is no name here: letters, digits and _ only, not a digit first")
    return value


def _role(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError(f"{value!r} is no name for a host: letters, digits, '-', '_' and '.'")
    return value


def session_name(value: str) -> str:
    """The name; ValueError if a session cannot be called so: its connection carries the name on the server."""
    if not value.strip() or any(category(character) == "Cc" for character in value):
        raise ValueError(f"{value!r} is no name for a session: it is blank or has control characters")
    return value


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        # pydantic collects ValueErrors only
        raise ValueError(f"this is a number, a text, true or false, not {shown(value)}")  # noqa: TRY004
    return value


LIST_OR_ONE = BeforeValidator(many, json_schema_input_type=str | list[str])

Names = Annotated[list[str], LIST_OR_ONE, AfterValidator(different)]
Name = Annotated[str, AfterValidator(_name)]
Role = Annotated[str, AfterValidator(_role)]
SessionName = Annotated[str, AfterValidator(session_name)]
Scalar = Annotated[bool | int | float | str, PlainValidator(_scalar, json_schema_input_type=bool | int | float | str)]
Logical = Annotated[str, AfterValidator(one_of("database", LOGICAL)), Field(json_schema_extra={"enum": list(LOGICAL)})]
EngineName = Annotated[str, AfterValidator(one_of("engine", ENGINES)), Field(json_schema_extra={"enum": list(ENGINES)})]
