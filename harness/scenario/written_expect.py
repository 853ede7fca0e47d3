"""What a scenario file expects, as people write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from harness.answers import ErrorKind
from harness.scenario.forms import LIST_OR_ONE, EngineName, Names, Written, different, many, one_of
from harness.scenario.problems import unknown
from harness.vocabulary import PHENOMENON_NAMES, phenomenon

COUNTS = ("attempted", "committed", "refused", *(kind.value for kind in ErrorKind))
"""What a free run counts."""

ANY = "any"
"""Under ``expect``: every level that is not named."""


def _phenomenon(name: str) -> str:
    return name if name == "nothing" else phenomenon(name).value


def _nothing_alone(names: list[str]) -> list[str]:
    if "nothing" in names and len(names) > 1:
        raise ValueError("'nothing' stands alone, not beside other phenomena")
    return [name for name in names if name != "nothing"]


_PhenomenonName = Annotated[
    str, AfterValidator(_phenomenon), Field(json_schema_extra={"enum": ["nothing", *PHENOMENON_NAMES]})
]
Phenomena = Annotated[
    list[_PhenomenonName],
    BeforeValidator(many, json_schema_input_type=_PhenomenonName | list[_PhenomenonName]),
    AfterValidator(_nothing_alone),
]


def _code(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _kind_or_code(value: str) -> str:
    kinds = tuple(kind.value for kind in ErrorKind)
    if value.lower() in kinds:
        return value.lower()
    if value.islower() and not any(char.isdigit() for char in value):  # no engine has such a code
        raise ValueError(unknown("kind of error", value, kinds))
    return value


def _errors(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


_Error = Annotated[str, BeforeValidator(_code, json_schema_input_type=str | int), AfterValidator(_kind_or_code)]


class ExpectationWritten(Written):
    """What must come out. Whatever is not named must not happen: no other phenomenon, no other error."""

    finds: Phenomena = Field(default=[], description="the phenomena that must be found, or nothing")
    allows: Phenomena = Field(default=[], description="phenomena that may be found besides")
    victim: str | None = Field(default=None, description="the session that the deadlock's victim must be")
    errors: dict[str, _Error] = Field(default={}, description="step: kind of error or code")
    may_refuse: Annotated[
        list[_Error], BeforeValidator(_errors, json_schema_input_type=_Error | list[_Error]), AfterValidator(different)
    ] = Field(
        default=[],
        description="kinds of error or codes with which the server may refuse any step, deadlock among them; what fails "
        "after that in the failed transaction may, too",
    )
    blocks: Names | None = Field(default=None, description="exactly these steps must have been blocked")
    sees: dict[str, Any] = Field(default={}, description="step: the value that it must have read")
    final: dict[str, Any] = Field(default={}, description="item: its value at the end")
    counts: dict[
        Annotated[str, AfterValidator(one_of("count", COUNTS)), Field(json_schema_extra={"enum": list(COUNTS)})], Any
    ] = Field(default={}, description="free-running: committed, or a kind of error: how many")
    output: Annotated[list[str], LIST_OR_ONE] | None = Field(
        default=None, description="PostgreSQL: what isolationtester would print for the run: exactly one of these texts"
    )
    holds: Names = Field(
        default=[],
        description="true at the end: 'budget == initial_budget - 100 * committed_T1', over items, initial_ITEM and "
        "committed_SESSION (how many of its transactions committed)",
    )


def _by_level(value: Any) -> Any:
    """One expectation for all levels, or one for each: levels are mappings, an expectation's keys are its own."""
    if isinstance(value, Mapping) and (
        not value
        or any(key in ExpectationWritten.model_fields for key in value)
        or not any(isinstance(one, Mapping) or one is None for one in value.values())
    ):
        return {ANY: value}
    return value


Expect = dict[
    EngineName,
    Annotated[
        dict[str, ExpectationWritten],
        BeforeValidator(_by_level, json_schema_input_type=ExpectationWritten | dict[str, ExpectationWritten]),
    ],
]
"""Engine: levels (several with commas between, or ``any``): expectation."""
