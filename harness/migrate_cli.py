"""``harness migrate`` makes PromptSales's databases what this version wants; ``harness wait`` waits until they are."""

from __future__ import annotations

from harness.errors import DataError


def migrate() -> None:
    """Make databases, schemas, logins and linked servers, as far as they are not there."""
    raise DataError("not written yet")


def wait() -> None:
    """Wait until servers take a login."""
    raise DataError("not written yet")
