"""``harness kubernetes run | fetch | agent``: a run inside a cluster, and what it left."""

from __future__ import annotations

from harness.errors import DataError


def run() -> None:
    """Run pytest in the cluster, and tell what it says."""
    raise DataError("not written yet")


def fetch() -> None:
    """Bring the results of the cluster's runs here."""
    raise DataError("not written yet")


def agent() -> None:
    """Be a machine that sessions run on: in a pod, an ssh server."""
    raise DataError("not written yet")
