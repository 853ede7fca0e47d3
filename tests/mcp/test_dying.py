"""A database that dies, or stops, in the middle of a call: the caller is told, and the server goes on when it is back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from mcp import Client
from mcp_toy import somebody, text_of
from mcp_world import World
from polling import eventually
from stopping import stop

from harness.engines import engine
from harness.errors import ServerUnavailable, SourceError
from harness.mcp.local import always
from harness.mcp.opening import Settings, opened
from harness.schemas import PROMPTSALES, Wanted, apply, scripts
from harness.servers import open_servers
from harness.servers.base import Target
from harness.suite import new_run_id

pytestmark = pytest.mark.mcp

ANA = somebody("reader", "analyst", subject="ana")


def call(opened: Any, name: str, tool: str, arguments: dict[str, Any]) -> Any:
    async def work() -> Any:
        async with Client(opened.servers(always(ANA))[name]) as client:
            return await client.call_tool(tool, arguments)

    return anyio.run(work)


@contextmanager
def meanwhile(work: Any) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)


def test_a_statement_whose_backend_dies(seeded: World) -> None:
    """The table is locked, so the call waits; then its backend is ended."""
    url = seeded.databases["promptads"].url
    with seeded.opened(("promptads",)) as found, psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE campaign IN ACCESS EXCLUSIVE MODE")

        def kill() -> None:
            ask = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            with psycopg.connect(url, autocommit=True) as killer:
                eventually(lambda: bool(killer.execute(ask).fetchall()), "somebody waits")

        with meanwhile(kill):
            result = call(found, "promptads", "campaign", {"campaign_id": 1})
        holder.rollback()
        assert result.is_error
        assert text_of(result) == "promptads does not answer: try again later"
        assert not call(found, "promptads", "campaign", {"campaign_id": 1}).is_error
    assert [one[2] for one in seeded.log()[-2:]] == ["error", "ok"]


def test_a_statement_that_waits_too_long(seeded: World) -> None:
    url = seeded.databases["promptads"].url
    with seeded.opened(("promptads",)) as found, psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE campaign IN ACCESS EXCLUSIVE MODE")
        result = call(found, "promptads", "campaign", {"campaign_id": 1})
        assert result.is_error
        assert "promptads" in text_of(result)
        assert "LOCK" not in text_of(result)
        holder.rollback()
        assert not call(found, "promptads", "campaign", {"campaign_id": 1}).is_error


@pytest.fixture
def own_servers(tmp_path: Path) -> Iterator[dict[str, Target]]:
    """PromptSales and a cache on servers that nobody else uses."""
    servers = open_servers("embedded", run_id=new_run_id(), owner_pid=os.getpid(), root=tmp_path, environ={})
    try:
        targets = {name: servers.target(name) for name in ("promptsales", "cache")}
        for name, target in targets.items():
            files = scripts(PROMPTSALES, name, target.engine, Wanted.empty, server=True)
            apply(engine(target.engine), target.url, files, "mcp")
        yield targets
    except ServerUnavailable as error:
        pytest.skip(str(error))
    finally:
        servers.stop()


def test_a_server_that_stops_and_is_killed(own_servers: dict[str, Target]) -> None:
    url = own_servers["promptsales"].url
    with opened(("promptsales",), own_servers, {}, Settings()) as found:
        assert not call(found, "promptsales", "etl_state", {}).is_error
        with psycopg.connect(url) as link:
            pid = _postmaster(link)
        stop(pid)  # it takes no connection any more; those that there are go on
        try:
            result = call(found, "promptsales", "etl_state", {})
        finally:
            os.kill(pid, signal.SIGCONT)
        assert text_of(result) == "promptsales does not answer: try again later"
        assert not call(found, "promptsales", "etl_state", {}).is_error
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: _gone(url), "the server is gone")
        # With it the log is gone: nothing is answered.
        result = call(found, "promptsales", "etl_state", {})
        assert text_of(result).startswith("calls cannot be counted or logged at the moment")
        with pytest.raises(SourceError, match="PromptSales or the cache does not answer"):
            found.check()


def _postmaster(link: psycopg.Connection[Any]) -> int:
    row = link.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    assert row
    return int(str(row[0]).splitlines()[0])


def _gone(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        return True
    return False
