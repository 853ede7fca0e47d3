"""A toolset without a database, and a guard's counter and log that only remember."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from mcp import Client
from pydantic import Field

from harness.ai_log.model import Call
from harness.errors import SourceError, ToolRefused
from harness.mcp.guard import Guard
from harness.mcp.model import (
    ADMINS,
    ANYBODY,
    TESTERS,
    Answer,
    Cursor,
    Limit,
    Page,
    Toolset,
    WithPicture,
    given_up,
    prompt,
    resource,
    tool,
)
from harness.mcp.server import server_of
from harness.promptsales.cache import Decision
from harness.sso.model import Caller

PNG = b"\x89PNG not really"


class Row(Answer):
    """A row."""

    id: int
    text: str


class Toy(Toolset):
    name = "toy"
    title = "Toy"
    instructions = "Nothing of use."

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        self.running = threading.Event()
        self.gave_up = threading.Event()
        self.changed = 0

    @tool("Rows", roles=ANYBODY, secrets=["password"])
    def rows(
        self,
        caller: Caller,
        word: Annotated[str, Field(max_length=20, description="To be repeated")],
        limit: Limit = 3,
        cursor: Cursor = None,
        password: Annotated[str, Field(max_length=50)] = "",
    ) -> Page[Row]:
        """Rows that say a word.

        As many as are asked for.
        """
        self.callers.append(caller)
        return Page(items=[Row(id=number, text=word) for number in range(limit)])

    @tool("Fails", roles=ANYBODY)
    def fails(self, caller: Caller, how: Literal["refused", "away", "bug", "large"]) -> Row:
        """Fails in a way that can be chosen."""
        if how == "refused":
            raise ToolRefused("there is no row 7")
        if how == "away":
            raise SourceError("toy does not answer: try again later")
        if how == "large":
            return Row(id=1, text="x" * 300_000)
        raise RuntimeError("postgresql://ana:hunter2@db/secret")

    @tool("Waits", roles=ANYBODY, seconds=0.2)
    def waits(self, caller: Caller) -> Row:
        """Waits until nobody waits for it any more."""
        return self._wait()

    @tool("Waits long", roles=ANYBODY, seconds=60)
    def waits_long(self, caller: Caller) -> Row:
        """The same, with more patience."""
        return self._wait()

    def _wait(self) -> Row:
        self.running.set()
        while not given_up():
            threading.Event().wait(0.005)
        self.gave_up.set()
        return Row(id=1, text="too late")

    @tool("Changes", roles=TESTERS, changes=True)
    def changes(self, caller: Caller) -> Row:
        """Does more than read."""
        self.changed += 1
        return Row(id=1, text="done")

    @tool("Picture", roles=ADMINS, answers=Row)
    def picture(self, caller: Caller) -> WithPicture:
        """A picture, for admins."""
        return WithPicture(Row(id=1, text="a picture"), PNG, "image/png")

    @resource("toy://schema", "Schema", roles=ANYBODY, mime_type="text/markdown")
    def schema(self, caller: Caller) -> str:
        """What there is."""
        return "# Toy"

    @resource("toy://row/{number}", "A row", roles=ADMINS)
    def row(self, caller: Caller, number: Annotated[int, Field(ge=1, le=9)]) -> str:
        """One row."""
        return f"row {number}"

    @resource("toy://gone", "What is gone", roles=ADMINS)
    def gone(self, caller: Caller) -> str:
        """Nothing."""
        raise ToolRefused("there is no toy of that number")

    @prompt("Explain", roles=ANYBODY)
    def explain(self, caller: Caller, word: Annotated[str, Field(max_length=20)]) -> str:
        """Ask for an explanation."""
        if word == "nothing":
            raise ToolRefused("there is nothing to explain")
        return f"Explain {word}."


@dataclass
class Counter:
    """Lets through so many of a subject, then none."""

    most: int = 10**6
    seen: list[str] = field(default_factory=list)
    away: bool = False

    def hit(self, subject: str) -> Decision:
        if self.away:
            raise SourceError("redis://:hunter2@cache is away")
        self.seen.append(subject)
        return Decision(self.seen.count(subject) <= self.most, 0, 1500)


@dataclass
class Memory:
    """A log in memory."""

    calls: list[Call] = field(default_factory=list)
    away: bool = False

    def append(self, call: Call) -> int:
        if self.away:
            raise SourceError("postgresql://log:hunter2@db is away")
        self.calls.append(call)
        return len(self.calls)


@dataclass
class Toys:
    """A toy server and what it stands on."""

    caller: Caller
    toolset: Toy = field(default_factory=Toy)
    counter: Counter = field(default_factory=Counter)
    log: Memory = field(default_factory=Memory)

    def client(self, mode: str = "auto") -> Client:
        guard = Guard(lambda _: self.caller, self.counter, self.log)
        return Client(server_of(self.toolset, guard), mode=mode)


def somebody(*roles: str, subject: str = "4f0c") -> Caller:
    return Caller(subject, "ana@example.com", frozenset(roles), "tests")


def text_of(result: Any) -> str:
    return "\n".join(one.text for one in result.content if one.type == "text")
