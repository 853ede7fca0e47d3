"""Everything that servers stand on, opened and closed together: logins, toolsets, the log of calls, the counter of calls."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import MCPServer

from harness.ai_log.store import AiLog
from harness.errors import DataError, ServerUnavailable, SourceError, did_you_mean
from harness.mcp.guard import Admit, Guard
from harness.mcp.model import Toolset
from harness.mcp.server import server_of
from harness.promptsales.cache import RateLimiter
from harness.promptsales.ready import check_has
from harness.runner.databases import data_url
from harness.servers.base import Target
from harness.servers.logins import Entered, LoginFor, logins
from harness.vocabulary import LOGICAL

if TYPE_CHECKING:
    import redis

TOOLSETS = {
    "promptcontent": "harness.mcp.promptcontent",
    "promptads": "harness.mcp.promptads",
    "promptcrm": "harness.mcp.promptcrm",
    "promptsales": "harness.mcp.promptsales",
    "cache": "harness.mcp.cache",
    "harness": "harness.mcp.harness_tools",
}
"""The servers, and the module of each one's tools."""

PREFIX = "psh_mcp_"
LOG_GATE = LoginFor("promptsales", "promptsales_mcp_gate")
LIMIT_GATE = LoginFor("cache", "cache_mcp_gate")
_CACHE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What servers are told besides where the databases are."""

    calls: int = 120
    """Of one caller, of all servers together, in ``per_seconds``."""
    per_seconds: float = 60.0
    scenarios: Path = Path("scenarios")
    results: Path = Path("results")
    servers: str | None = None
    """What the harness's scenarios run on: embedded, containers or external."""


@dataclass(slots=True)
class Opened:
    """Servers that are ready to be served, by name."""

    entered: Entered
    toolsets: Mapping[str, Toolset]
    log: AiLog
    limiter: RateLimiter
    cache: redis.Redis

    def servers(self, admit: Admit) -> dict[str, MCPServer[Any]]:
        """A server of each toolset, for callers that ``admit`` tells."""
        return {
            name: server_of(toolset, Guard(admit, self.limiter, self.log)) for name, toolset in self.toolsets.items()
        }

    def check(self) -> None:
        """Raises SourceError while no call could be answered: the log or the counter of calls is away."""
        import psycopg
        import redis

        try:
            gate = self.entered.targets[LOG_GATE].url
            with psycopg.connect(gate, autocommit=True, connect_timeout=3, application_name="psh:mcp/ready") as link:
                link.execute("SELECT")
            with contextlib.suppress(redis.exceptions.NoPermissionError):  # it answers
                self.cache.ping()
        except (psycopg.Error, redis.RedisError, OSError):
            raise SourceError("PromptSales or the cache does not answer") from None


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of servers, ``all`` for all of them. Raises DataError for one that there is not."""
    if "all" in names:
        return tuple(TOOLSETS)
    for name in names:
        if name not in TOOLSETS:
            raise DataError(f"there is no server {name!r}{did_you_mean(name, TOOLSETS)}: {', '.join(TOOLSETS)}, or all")
    return tuple(dict.fromkeys(names))


def needed(names: Sequence[str]) -> tuple[str, ...]:
    """The databases that these servers need; PromptSales and the cache always: calls are logged there, and counted."""
    wanted = {one.logical for name in names for one in _module(name).LOGINS} | {"promptsales", "cache"}
    return tuple(logical for logical in LOGICAL if logical in wanted)


@contextlib.contextmanager
def opened(
    names: Sequence[str], targets: Mapping[str, Target], missing: Mapping[str, str], settings: Settings
) -> Iterator[Opened]:
    """The servers of these names. Raises ServerUnavailable if a database is not up, or empty."""
    import redis

    if lacking := [logical for logical in needed(names) if logical not in targets]:
        why = "; ".join(dict.fromkeys(missing.get(logical, "not up") for logical in lacking))
        urls = ", ".join(f"{logical.upper()}_URL" for logical in lacking)
        raise ServerUnavailable(f"{', '.join(lacking)}: {why}, or say where they are ({urls})")
    places = {name: replace(target, url=data_url(target)) for name, target in targets.items()}
    check_has(places["promptsales"].url, "ai_log_append")  # else no call would be answered
    wanted = [LOG_GATE, LIMIT_GATE, *(one for name in names for one in _module(name).LOGINS)]
    with contextlib.ExitStack() as stack:
        entered = stack.enter_context(logins(places, wanted, PREFIX, valid=None))
        log = AiLog(entered.targets[LOG_GATE])
        stack.callback(log.close)
        client = redis.Redis.from_url(
            entered.targets[LIMIT_GATE].url, socket_timeout=_CACHE_SECONDS, socket_connect_timeout=_CACHE_SECONDS
        )
        stack.callback(client.close)
        toolsets: dict[str, Toolset] = {}
        for name in names:
            if name == "harness":
                module = _module(name)  # imported for itself only: it brings all that reads scenarios
                own = module.HarnessSettings(settings.scenarios, settings.results, settings.servers)
                toolsets[name] = module.open_toolset(entered.targets, own)
            else:
                toolsets[name] = _module(name).open_toolset(entered.targets)
            stack.callback(toolsets[name].close)
        yield Opened(entered, toolsets, log, RateLimiter(client, "mcp", settings.calls, settings.per_seconds), client)


def _module(name: str) -> Any:
    return importlib.import_module(TOOLSETS[name])
