"""``matrix:`` of a scenario file: which cell of the isolation matrix its cases are."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from harness.scenario.forms import EngineName, Written, one_of
from harness.vocabulary import HERMITAGE


def _label(value: str) -> str:
    if not value.strip() or "\n" in value:
        raise ValueError("a label of the matrix is one line of text")
    return value.strip()


Label = Annotated[str, AfterValidator(_label)]


class MatrixWritten(Written):
    """The anomaly that a scenario tries to bring about, in which form, and in which row of the matrix."""

    anomaly: Annotated[
        str, AfterValidator(one_of("anomaly", HERMITAGE)), Field(json_schema_extra={"enum": list(HERMITAGE)})
    ]
    variant: str = Field(default="", description="which form of it, if there are several: a write predicate, …")
    row: Label | dict[EngineName, Label] = Field(
        default={}, description="the row's name, or one by engine; else it is the isolation level"
    )

    def row_on(self, engine: str) -> str:
        """The row's name on ``engine``; empty if the level names it."""
        return self.row if isinstance(self.row, str) else self.row.get(engine, "")


def _matrix(value: Any) -> Any:
    return {"anomaly": value} if isinstance(value, str) else value


Matrix = Annotated[MatrixWritten, BeforeValidator(_matrix, json_schema_input_type=str | MatrixWritten)]
