"""``harness scale``: what so many clients and users would take, by what was measured."""

from __future__ import annotations

from harness.errors import DataError


def scale() -> None:
    """Say what each part needs, and which one breaks first."""
    raise DataError("not written yet")
