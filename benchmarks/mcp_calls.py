"""What the guard costs: calls of one tool in a second, bare, behind the guard, and over HTTP.

    python benchmarks/mcp_calls.py [--rounds 5] [--calls 200]

Needs the servers of 'harness up', seeded. The three are measured in turn, in each round; the ratio is told, as times are
noisy. "Bare" calls the tool's method; "guarded" calls it by the SDK's client in this process, behind role, counter and log;
"http" is the same over a loopback port, with a token that is taken at once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from mcp_http import served

from harness.mcp.bearer import caller_of
from harness.mcp.local import always, local_caller
from harness.mcp.opening import Settings, needed, opened
from harness.seed_cli import targets_of
from harness.sso.model import Caller

TOOL, ARGUMENTS = "campaign", {"campaign_id": 3}
ME = local_caller()


class Taken:
    def verify(self, token: str) -> Caller:
        return ME


def timed(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


async def repeated(client: Any, calls: int) -> None:
    async with client as session:
        for _ in range(calls):
            result = await session.call_tool(TOOL, ARGUMENTS)
            assert not result.is_error, result


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--calls", type=int, default=200)
    given = options.parse_args()
    targets, missing = targets_of(needed(("promptads",)), None)
    with opened(("promptads",), targets, missing, Settings(calls=10**6)) as found:
        tool = dict((name, method) for name, _, method in found.toolsets["promptads"].offered())[TOOL]
        guarded = found.servers(always(ME))["promptads"]
        with served(found.servers(caller_of), {"promptads": Taken()}) as place:
            address = place.resource("promptads")

            def bare() -> None:
                for _ in range(given.calls):
                    tool(ME, **ARGUMENTS)

            def inside() -> None:
                anyio.run(repeated, Client(guarded), given.calls)

            def http() -> None:
                async def work() -> None:
                    async with httpx2.AsyncClient(headers={"Authorization": "Bearer x"}) as client:
                        await repeated(Client(streamable_http_client(address, http_client=client)), given.calls)

                anyio.run(work)

            ways = {"bare": bare, "guarded": inside, "http": http}
            for work in ways.values():
                work()
            rounds = [{name: timed(work) for name, work in ways.items()} for _ in range(given.rounds)]
    for name in ways:
        spent = [one[name] / given.calls * 1000 for one in rounds]
        ratios = [one[name] / one["bare"] for one in rounds]
        print(
            f"{name:8} {statistics.median(spent):6.2f} ms a call   "
            f"{statistics.median(ratios):5.2f} times bare ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
