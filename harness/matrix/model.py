"""What the isolation matrix is made of: rows of levels, columns of anomalies, cells with everything that was tried.

It is a table over stored evidence and travels as ``matrix.json``.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from harness.history import Record


class Outcome(StrEnum):
    """What a cell says. The worst comes last."""

    prevented = "prevented"
    unclear = "unclear"  # the case did not run to its end, so it proves nothing
    allowed = "allowed"


class How(StrEnum):
    """What the server did while an anomaly was tried and did not come about."""

    blocked = "blocked"  # a step waited for another session
    refused = "refused"  # a step, or a commit, ended with an error
    version = "old version"  # a read saw an older version than the newest that was written
    at_once = "at once"  # nothing could come in between: a script, a queue that EXEC does


LETTERS = {How.blocked: "b", How.refused: "r", How.version: "v", How.at_once: "o"}
"""How the tables write it."""

SIGNS = {Outcome.prevented: "✓", Outcome.allowed: "✗", Outcome.unclear: "?"}
NOT_RUN = "–"


class Reason(Record):
    """One thing that the server did: ``write_2 of T2 was refused: 40001 …``."""

    how: How
    text: str


class Tried(Record):
    """One case: an anomaly, tried once at one level. ``evidence`` is a path below the run's folder."""

    case: str
    variant: str = ""
    outcome: Outcome
    reasons: list[Reason] = Field(default_factory=list)
    phenomenon: str = Field(default="", description="allowed: what was found, with its code: write skew (G2-item)")
    proof: list[str] = Field(default_factory=list)
    besides: list[str] = Field(default_factory=list, description="what was found that is another column's anomaly")
    expected: bool = Field(default=True, description="whether the case's verdict was as its scenario expects")
    evidence: str = ""

    @property
    def hows(self) -> tuple[How, ...]:
        """What the server did, each once."""
        told = {reason.how for reason in self.reasons}
        return tuple(how for how in How if how in told)


class Cell(Record):
    """An anomaly at a level: the worst of all that was tried."""

    anomaly: str
    tried: list[Tried]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome."""
        return max((one.outcome for one in self.tried), key=list(Outcome).index)

    @property
    def deciding(self) -> list[Tried]:
        """Those that decide: all with the worst outcome."""
        return [one for one in self.tried if one.outcome is self.outcome]

    @property
    def partly(self) -> bool:
        """Whether some variants were prevented and others not."""
        return len({one.outcome for one in self.tried}) > 1

    @property
    def expected(self) -> bool:
        """Whether every verdict was as expected."""
        return all(one.expected for one in self.tried)

    @property
    def hows(self) -> tuple[How, ...]:
        """What the server did in those that decide."""
        told = {how for one in self.deciding for how in one.hows}
        return tuple(how for how in How if how in told)

    @property
    def sign(self) -> str:
        """``✓``, ``✗`` or ``?``; with ``!`` where a verdict was not as expected."""
        return SIGNS[self.outcome] + ("" if self.expected else "!")

    @property
    def letters(self) -> str:
        """``br``: somebody waited, somebody was refused. Nothing where the anomaly came about."""
        return "".join(LETTERS[how] for how in self.hows) if self.outcome is Outcome.prevented else ""


class Row(Record):
    """A level of a server, or another way to use it. ``observed``: the level read back, if it is not the one asked for."""

    engine: str
    logical: str
    product: str
    version: str
    stand_in: str = Field(default="", description="the engine that this server stands in for")
    level: str
    name: str
    observed: str = ""
    cells: dict[str, Cell]
    given: str = Field(default="", description="the level that the anomalies tell")
    same_as: str = Field(default="", description="the row of the same server that does the same in every cell")

    @property
    def place(self) -> tuple[str, str, str]:
        """Which table it belongs to: one for each database and server."""
        return self.logical, self.engine, self.product

    @property
    def expected(self) -> bool:
        """Whether every verdict was as expected."""
        return all(cell.expected for cell in self.cells.values())


class Missing(Record):
    """What is not there, and why. ``server``: it is all levels of that one, where another one stood in for it."""

    server: str = ""
    logical: str = ""
    what: str
    why: str


class Matrix(Record):
    """``matrix.json``: the table of one run."""

    version: int = 1
    run: str = ""
    rows: list[Row] = Field(default_factory=list)
    missing: list[Missing] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @property
    def places(self) -> list[list[Row]]:
        """The rows of each server, in order."""
        made: dict[tuple[str, str, str], list[Row]] = {}
        for row in self.rows:
            made.setdefault(row.place, []).append(row)
        return list(made.values())

    @property
    def unexpected(self) -> list[Tried]:
        """What did not come out as its scenario expects."""
        return [one for row in self.rows for cell in row.cells.values() for one in cell.tried if not one.expected]
