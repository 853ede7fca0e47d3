"""PromptSales's five databases, seeded, with servers on them; the arguments that every tool can be called with."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import StdioServerParameters

from fixtures.databases import Database
from fixtures.giving import Giving
from harness.engines.redis_wire import LEASE
from harness.mcp.opening import Opened, Settings, opened
from harness.servers.base import Target
from harness.servers.urls import VARIABLE
from harness.vocabulary import LOGICAL

DAY = 86_400  # seconds
SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"


@dataclass
class World:
    """The databases, and where runs are kept."""

    databases: Mapping[str, Database]
    results: Path
    _links: dict[str, Any] = field(default_factory=dict)

    def link(self, name: str) -> Any:
        """The one connection of a test to a database."""
        if name not in self._links:
            self._links[name] = self.databases[name].connect()
        return self._links[name]

    @property
    def targets(self) -> dict[str, Target]:
        return {name: Target(name, one.engine, one.url, one.stand_in) for name, one in self.databases.items()}

    @contextlib.contextmanager
    def opened(self, names: Sequence[str], calls: int = 10_000) -> Iterator[Opened]:
        settings = Settings(calls=calls, scenarios=SCENARIOS, results=self.results)
        with opened(names, self.targets, {}, settings) as found:
            yield found

    def environ(self) -> dict[str, str]:
        """What a process needs to find them."""
        urls = {VARIABLE[name]: one.url for name, one in self.databases.items()}
        return {**os.environ, **urls, "PROMPTSALES_SERVERS": "external"}

    def started(self, name: str, *options: str) -> StdioServerParameters:
        """As an assistant starts a server."""
        arguments = ["-m", "harness.cli", "mcp", "serve", name, *options]
        if name == "harness":
            arguments += ["--scenarios", str(SCENARIOS), "--results", str(self.results)]
        return StdioServerParameters(command=sys.executable, args=arguments, env=self.environ(), cwd=self.results)

    def log(self) -> list[tuple[Any, ...]]:
        """Server, tool and outcome of what was logged, in order."""
        connection = self.link("promptsales")
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT server, target, outcome, name, rows FROM ai_log ORDER BY number"
        ).fetchall()
        return rows


@contextlib.contextmanager
def world(giving: Giving, results: Path) -> Iterator[World]:
    """Raises ServerUnavailable."""
    with contextlib.ExitStack() as stack:
        made = World({name: stack.enter_context(giving.database(name, "tiny")) for name in LOGICAL}, results)
        outlive(made.link("cache"))
        yield made


def outlive(cache: Any) -> None:
    """Let the seeded keys outlive a run: a client's card has five minutes, a run of all tests has more."""
    pipe = cache.pipeline(transaction=False)
    for key in cache.scan_iter(match="*:*", count=1000):
        if key != LEASE:
            pipe.expire(key, DAY, xx=True)
    pipe.execute()
