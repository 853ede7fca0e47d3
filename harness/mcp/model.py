"""What a server offers: tools, resources and prompts, each with the roles that may use it.

A toolset is a plain object; its methods take the :class:`~harness.sso.model.Caller` first and then what a client gives,
and know nothing of the protocol:

    class PromptAds(Toolset):
        name = "promptads"

        @tool("Active campaigns", roles=ANYBODY)
        def active_campaigns(self, caller: Caller, limit: Limit = 20, cursor: Cursor = None) -> Page[Campaign]:
            \"\"\"The campaigns that run today, with what they have spent and their pace.\"\"\"

The docstring is the tool's description, ``Annotated[…, Field(description=…)]`` each parameter's; the annotations become its
JSON schemas. Every text needs a ``max_length``, every number bounds, every list a ``max_length``: a test looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from harness.sso.model import ROLES

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

ANYBODY = frozenset(ROLES)
ANALYSTS = frozenset({"analyst"})
STEWARDS = frozenset({"steward"})
TESTERS = frozenset({"tester"})
ADMINS = frozenset({"admin"})

MOST_ROWS = 100

Limit = Annotated[int, Field(ge=1, le=MOST_ROWS, description="How many at most")]
Cursor = Annotated[
    str | None,
    Field(max_length=400, description="Where to go on: next_cursor of the page before; none for the first page"),
]


Money = Annotated[
    Decimal, PlainSerializer(float, return_type=float, when_used="json"), WithJsonSchema({"type": "number"})
]
"""An amount with cents, which JSON has as a number."""


class Answer(BaseModel):
    """What a tool gives: data, not text."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(Answer, Generic[T]):
    """Some rows of a longer list, in a stable order."""

    items: list[T]
    next_cursor: str | None = Field(
        None, description="Give this as cursor to get the next page; null: this is the last one"
    )


@dataclass(frozen=True, slots=True)
class WithPicture:
    """An answer and a picture that goes with it, which the client gets as an image."""

    answer: Answer
    picture: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What is said of a tool besides its signature and docstring."""

    title: str
    roles: frozenset[str]
    secrets: frozenset[str] = frozenset()
    """Arguments whose values never get into the log."""
    changes: bool = False
    """Whether it does more than read: the log then says also that it began."""
    seconds: float = 15.0
    """How long a call may take before it is given up."""
    answers: type[Answer] | None = None
    """The model of the answer, where the method gives a :class:`WithPicture`."""


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """A resource; a ``uri`` with {parts} is a template, and the method takes them as arguments."""

    uri: str
    title: str
    mime_type: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """A prompt: its method gives the text that a person would ask with."""

    title: str
    roles: frozenset[str]


def tool(
    title: str,
    *,
    roles: Iterable[str],
    secrets: Iterable[str] = (),
    changes: bool = False,
    seconds: float = 15.0,
    answers: type[Answer] | None = None,
) -> Callable[[F], F]:
    """Make a method a tool: see :class:`ToolSpec`."""
    return _marked(ToolSpec(title, frozenset(roles), frozenset(secrets), changes, seconds, answers))


def resource(uri: str, title: str, *, roles: Iterable[str], mime_type: str = "text/plain") -> Callable[[F], F]:
    """Make a method, ``(self, caller, **parts) -> str | bytes``, a resource: see :class:`ResourceSpec`."""
    return _marked(ResourceSpec(uri, title, mime_type, frozenset(roles)))


def prompt(title: str, *, roles: Iterable[str]) -> Callable[[F], F]:
    """Make a method, ``(self, caller, **arguments of str) -> str``, a prompt: see :class:`PromptSpec`."""
    return _marked(PromptSpec(title, frozenset(roles)))


Spec = ToolSpec | ResourceSpec | PromptSpec

GIVEN_UP: ContextVar[threading.Event | None] = ContextVar("GIVEN_UP", default=None)


def given_up() -> bool:
    """Whether nobody waits any more for the call that this thread works for: its time is over, or it was cancelled."""
    event = GIVEN_UP.get()
    return event is not None and event.is_set()


def _marked(spec: Spec) -> Callable[[F], F]:
    def mark(method: F) -> F:
        method._mcp = spec  # type: ignore[attr-defined]
        return method

    return mark


class Toolset:
    """What one server offers; subclasses mark their methods."""

    name: ClassVar[str]
    """The database, or ``harness``."""
    title: ClassVar[str]
    instructions: ClassVar[str]
    """What an assistant is told about the whole server: two or three sentences."""

    def offered(self) -> Iterator[tuple[str, Spec, Callable[..., Any]]]:
        """Name, spec and bound method of all that is marked, in the order of the source."""
        seen: set[str] = set()
        for kind in reversed(type(self).__mro__):
            for name, found in vars(kind).items():
                if hasattr(found, "_mcp") and name not in seen:
                    seen.add(name)
                    bound = getattr(self, name)
                    yield name, bound._mcp, bound

    def close(self) -> None:
        """Let go of connections. May be called twice."""
