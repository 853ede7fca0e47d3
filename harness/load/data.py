"""The databases that a load runs on: throw-away ones filled by the seeder, or those that are there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from harness.errors import ServerUnavailable
from harness.runner.databases import Databases
from harness.runner.furnishing import seeded
from harness.servers.base import Target

KEPT = "kept"
"""Instead of a size: what ``harness seed`` has filled on the servers that are up, or given by URLs."""


_CONTENTS = {"small": 36}
"""At that size, instead of 120: to draw their pictures takes longer than all the rest, and no user looks at one."""


@contextlib.contextmanager
def places(
    databases: Databases, logicals: Sequence[str], data: str, say: Callable[[str], None] = lambda line: None
) -> Iterator[dict[str, Target]]:
    """Where each database is, for the time of the context; throw-away ones are dropped after it.

    Raises ServerUnavailable, DataError, and the other errors of servers.
    """
    if data == KEPT:
        yield {name: _kept(databases.target(name)) for name in logicals}
        return
    with contextlib.ExitStack() as stack:
        found: dict[str, Target] = {}
        for name in logicals:
            say(f"filling {name}")
            made = databases.make(name, (), furnishing=seeded(data, _CONTENTS.get(data)))
            stack.callback(databases.drop, made)
            found[name] = replace(made.target, url=made.url)
        yield found


def _kept(target: Target) -> Target:
    if target.origin not in ("up", "external"):
        raise ServerUnavailable(f"{target.logical}: not up: 'harness up' and 'harness seed', or give its URL")
    return target
