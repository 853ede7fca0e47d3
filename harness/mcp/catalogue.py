"""What the servers offer, told without a database: for ``harness mcp tools``, the documents, and the tests."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from harness.mcp.model import ANYBODY, PromptSpec, ResourceSpec, Spec, Toolset, ToolSpec
from harness.mcp.opening import TOOLSETS, checked_names
from harness.mcp.running import as_reader, as_tool

_KIND = {ToolSpec: "tool", ResourceSpec: "resource", PromptSpec: "prompt"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool, resource or prompt of a server."""

    server: str
    name: str
    """Of a resource its URI."""
    spec: Spec
    about: str
    arguments: dict[str, Any]
    """JSON schema."""
    answer: dict[str, Any] | None
    """JSON schema; of tools."""

    @property
    def kind(self) -> str:
        """``tool``, ``resource`` or ``prompt``."""
        return _KIND[type(self.spec)]

    @property
    def sentence(self) -> str:
        """The first sentence of what is said about it."""
        first = " ".join(self.about.split("\n\n")[0].split())
        return first.partition(". ")[0].removesuffix(".")

    @property
    def takes(self) -> str:
        """Its arguments, the optional ones in brackets."""
        required = self.arguments.get("required", [])
        return ", ".join(name if name in required else f"[{name}]" for name in self.arguments.get("properties", {}))

    @property
    def roles(self) -> str:
        """Who may use it."""
        return "anybody" if self.spec.roles == ANYBODY else ", ".join(sorted(self.spec.roles))


def class_of(name: str) -> type[Toolset]:
    """The class of a server's tools."""
    module = importlib.import_module(TOOLSETS[name])
    found = [
        one for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Toolset) and getattr(one, "name", "") == name
    ]  # fmt: skip
    return found[0]


def offers(names: Sequence[str]) -> list[Offer]:
    """All that these servers offer. Raises DataError for a name that there is not."""
    return [one for name in checked_names(names) for one in _of(name)]


def _of(name: str) -> Iterator[Offer]:
    from mcp.server.mcpserver.tools import Tool

    kind = class_of(name)
    for own, spec, method in kind.offered(object.__new__(kind)):
        call: Any = as_tool(own, method, spec) if isinstance(spec, ToolSpec) else as_reader(own, method)
        made = Tool.from_function(call, own)
        shown = spec.uri if isinstance(spec, ResourceSpec) else own
        answer = made.output_schema if isinstance(spec, ToolSpec) else None
        yield Offer(name, shown, spec, made.description, made.parameters, answer)


def as_markdown(found: Sequence[Offer]) -> str:
    """The table of ``docs/mcp.md``."""
    lines = ["| server | kind | name | arguments | what it gives | roles |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one.server} | {one.kind} | `{one.name}` | {_quoted(one.takes)} | {_plain(one.sentence)} | {one.roles} |"
        for one in found
    ]
    return "\n".join(lines)


def as_table(found: Sequence[Offer]) -> Iterator[Table]:
    """The same for a terminal, a table for each server."""
    for server in dict.fromkeys(one.server for one in found):
        theirs = [one for one in found if one.server == server]
        table = Table(title=server, title_justify="left", box=SIMPLE, pad_edge=False)
        table.add_column("", no_wrap=True)
        # However narrow it is, a name that one has to type stands in one piece; only URIs are folded.
        longest = max(len(one.name) for one in theirs if "/" not in one.name)
        table.add_column("name and arguments", min_width=longest, ratio=2, overflow="fold")
        table.add_column("what it gives", ratio=3)
        table.add_column("roles", width=max(len(role) for one in theirs for role in one.roles.split()))
        for one in theirs:
            name = Text(one.name) + Text(f"\n{one.takes}" if one.takes else "", style="dim")
            table.add_row(Text(one.kind), name, Text(one.sentence), Text(one.roles))  # no markup: there are brackets
        yield table


def as_plain(found: Sequence[Offer]) -> list[dict[str, Any]]:
    """The same as plain data, with schemas."""
    return [
        {
            "server": one.server,
            "kind": one.kind,
            "name": one.name,
            "title": one.spec.title,
            "roles": sorted(one.spec.roles),
            "description": one.about,
            "arguments": one.arguments,
            "answer": one.answer,
        }
        for one in found
    ]


def _quoted(text: str) -> str:
    return f"`{text}`" if text else ""


def _plain(text: str) -> str:
    return text.replace("|", "\\|")
