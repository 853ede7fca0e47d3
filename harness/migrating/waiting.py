"""Wait until servers take a login, or until they were migrated: what a pod does before its own work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from harness.errors import DataError, DriverMissing, ServerError
from harness.migrating.migrate import lacking
from harness.servers.base import Target
from harness.servers.login import log_in
from harness.servers.urls import scrub

GRAIN = 1.0
"""Seconds between two looks."""
TELL = 10.0
"""Seconds between two lines."""

Look = Callable[[], list[str]]
"""What is still missing, a line each; nothing when it is over."""


def servers(targets: Mapping[str, Target]) -> Look:
    """Until each of these takes a login by its URL."""
    left = dict(targets)

    def look() -> list[str]:
        said: list[str] = []
        for logical, target in list(left.items()):
            try:
                log_in(target.url)
            except DriverMissing:
                raise
            except Exception as problem:  # noqa: BLE001 - a driver's own classes, each for each
                reason = scrub(" ".join(str(problem).split()), target.url)
                said.append(f"{logical}: nobody can log in ({reason[:200]})")
            else:
                del left[logical]
        return said

    return look


def migrated(targets: Mapping[str, Target], memory: str) -> Look:
    """Until PromptSales, whose URL ``memory`` is, says that each of these is of this version's files."""

    def look() -> list[str]:
        try:
            return [f"{logical}: not migrated yet" for logical in lacking(targets, memory)]
        except (ServerError, DataError) as problem:
            return [str(problem)]

    return look


def wait(
    look: Look, seconds: float, tell: Callable[[str], None], *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Look again and again until nothing is missing. Raises ServerError after ``seconds`` with what still is."""
    begin = last = time.monotonic()
    while missing := look():
        now = time.monotonic()
        if now - begin >= seconds:
            raise ServerError(f"after {seconds:g} s: {'; '.join(missing)}")
        if now - last >= TELL:
            last = now
            tell(f"waiting: {'; '.join(missing)}")
        sleep(GRAIN)
