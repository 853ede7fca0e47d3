"""A random workload: what a file or a command line declares, as it is written and as it is run.

The kinds are Jepsen's: appends to lists and unique writes to registers (Kingsbury & Alvaro, *Elle*, VLDB 2020), transfers
between accounts whose sum never changes, counters that are only incremented.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from harness.evidence.checker.model import Workload
from harness.scenario.forms import EngineName, Logical, Names, Written, different, many, one_of
from harness.scenario.problems import shown

KINDS = tuple(kind.value for kind in Workload)

TRANSACTIONS, COMMANDS = "transactions", "commands"
UNITS = (TRANSACTIONS, COMMANDS)
"""What is one unit for the server: a whole transaction, or each of its operations by itself."""

PROMISED: Mapping[str, Mapping[str, str]] = {
    "postgresql": {
        "read uncommitted": "read committed",
        "read committed": "read committed",
        "repeatable read": "snapshot isolation",
        "serializable": "serializable",
    },
    "sqlserver": {
        "read uncommitted": "read uncommitted",
        "read committed": "read committed",
        "read committed snapshot": "read committed",
        "snapshot": "snapshot isolation",
        "repeatable read": "repeatable read",
        "serializable": "serializable",
    },
    "mongodb": {"local": "read committed", "majority": "read committed", "snapshot": "snapshot isolation"},
    "redis": {"atomic commands": "serializable"},
}
"""By engine and level: which of the literature's levels its makers promise for a transaction."""


def promised(engine: str, level: str, units: str = TRANSACTIONS) -> str:
    """The level of the literature that an engine's own level stands for; empty where nothing is promised.

    >>> promised("postgresql", "repeatable read"), promised("redis", "atomic commands", "commands")
    ('snapshot isolation', '')
    """
    return PROMISED.get(engine, {}).get(level, "") if units == TRANSACTIONS else ""


ANYTHING = "anything"
"""Instead of an anomaly's name, of those that are allowed: every one."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a history must and may show. With ``level``, it may show whatever does not exclude that level."""

    finds: tuple[str, ...] = ()
    allows: tuple[str, ...] = ()
    level: str = ""

    @property
    def text(self) -> str:
        """In words.

        >>> Expected(finds=("G-single",), level="read committed").text
        'finds G-single; nothing that excludes read committed'
        """
        parts = [f"finds {', '.join(self.finds)}"] if self.finds else []
        parts += [f"may find {', '.join(self.allows)}"] if self.allows else []
        if self.level:
            return "; ".join([*parts, f"nothing that excludes {self.level}"])
        if ANYTHING in self.allows:
            return "; ".join(parts)
        return "; ".join([*parts, "nothing else" if parts else "nothing"])


@dataclass(frozen=True, slots=True)
class Declared:
    """A workload, checked and ready. ``ops`` is the least and the most operations of a transaction."""

    kind: Workload
    name: str
    title: str = ""
    about: str = ""
    file: Path | None = None
    logicals: tuple[str, ...] = ("promptsales",)
    units: str = TRANSACTIONS
    sessions: int = 5
    transactions: int = 300  # in all
    keys: int = 6  # in use at a time; accounts, counters
    ops: tuple[int, int] = (1, 4)
    reads: float = 0.5  # the share of reads among them
    writes_per_key: int = 24  # then another key takes its place: long lists make long reads
    seed: int = 1
    deadline: float = 60.0
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expect: Mapping[str, Mapping[str, Expected]] = field(default_factory=dict)

    def expected(self, engine: str, level: str) -> Expected | None:
        """What the file expects there, if it says so; a level's word before ``any``."""
        by_level = self.expect.get(engine, {})
        return by_level.get(level, by_level.get("any"))


# -- as it is written


def _span(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value, value]
    good = isinstance(value, list) and len(value) == 2
    if not (good and all(isinstance(one, int) and not isinstance(one, bool) for one in value)):
        raise ValueError(f"operations are a number, or [least, most], not {shown(value)}")
    if not 1 <= value[0] <= value[1] <= 100:
        raise ValueError(f"a transaction cannot have from {value[0]} to {value[1]} operations: 1 to 100")
    return (value[0], value[1])


Span = Annotated[
    tuple[int, int],
    BeforeValidator(_span, json_schema_input_type=int | Annotated[list[int], Field(min_length=2, max_length=2)]),
]


def _none_or_many(value: Any) -> Any:
    return [] if value == "nothing" else many(value)


Anomalies = Annotated[
    list[str],
    BeforeValidator(_none_or_many, json_schema_input_type=str | list[str]),
    AfterValidator(different),
]


class ExpectedWritten(Written):
    """What is expected at a level."""

    finds: Anomalies = Field(default=[], description="anomalies that must be found, by Adya's names: G-single")
    allows: Anomalies = Field(default=[], description="anomalies that may be found, or anything")
    level: str = Field(default="", description="whatever does not exclude this level may be found: snapshot isolation")


def _expected(value: Any) -> Any:
    if isinstance(value, str):
        one_of("expectation", ("nothing",))(value)
        return {}
    return value


ExpectedOrNothing = Annotated[ExpectedWritten, BeforeValidator(_expected, json_schema_input_type=str | ExpectedWritten)]


def _by_level(value: Any) -> Any:
    """One expectation for all levels, or one for each."""
    alone = isinstance(value, str) or (
        isinstance(value, dict) and any(key in ExpectedWritten.model_fields for key in value)
    )
    return {"any": value} if alone else value


ByLevel = Annotated[
    dict[str, ExpectedOrNothing],
    BeforeValidator(_by_level, json_schema_input_type=str | ExpectedWritten | dict[str, ExpectedOrNothing]),
    Field(min_length=1),
]

_Kind = Annotated[str, AfterValidator(one_of("workload", KINDS)), Field(json_schema_extra={"enum": list(KINDS)})]
_Units = Annotated[str, AfterValidator(one_of("unit", UNITS)), Field(json_schema_extra={"enum": list(UNITS)})]
_Logicals = Annotated[
    list[Logical],
    BeforeValidator(many, json_schema_input_type=Logical | list[Logical]),
    AfterValidator(different),
    Field(min_length=1),
]


class WorkloadWritten(Written):
    """A file of a random workload."""

    model_config = ConfigDict(
        title="PromptSales Harness workload",
        json_schema_extra={"$schema": "https://json-schema.org/draft/2020-12/schema"},
    )

    title: str = Field(min_length=1)
    about: str = ""
    workload: _Kind = Field(description="what the transactions work on")
    database: _Logicals = Field(description="the logical database, or several: each of them is tried")
    units: _Units = Field(default=TRANSACTIONS, description="commands: no transactions, each operation by itself")
    sessions: int = Field(default=5, ge=1, le=100, description="free sessions, each on its own connection")
    transactions: int = Field(default=300, ge=1, le=1_000_000, description="of all sessions together")
    keys: int = Field(default=6, ge=1, le=10_000, description="lists or registers in use at a time, accounts, counters")
    operations: Span = Field(default=(1, 4), description="of a transaction: [least, most]")
    reads: Annotated[float, Field(ge=0, le=1)] = Field(default=0.5, description="the share of reads")
    writes_per_key: int = Field(default=24, ge=1, le=100_000, description="then another key takes its place")
    seed: int = Field(default=1, ge=0, description="the same seed, the same transactions")
    deadline: float = Field(default=60.0, gt=0, description="seconds; then what runs is cancelled")
    levels: dict[EngineName, Names] = {}
    expect: dict[EngineName, ByLevel] = Field(min_length=1)

    @model_validator(mode="after")
    def _bank(self) -> Self:
        if self.workload == Workload.bank and self.keys < 2:
            raise ValueError("a transfer needs two accounts: keys: 2 or more")
        return self


def schema() -> dict[str, Any]:
    """The JSON Schema of such files, short forms and all."""
    return WorkloadWritten.model_json_schema(mode="validation")


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
