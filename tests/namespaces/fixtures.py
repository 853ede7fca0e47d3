"""The fixtures: import them in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from namespaces.commands import Refused
from namespaces.network import Network


class Shared:
    """The one of this process: several conftest.py files may have the fixture, and a run of pytest another run within it."""

    def __init__(self) -> None:
        self.network: Network | None = None
        self.users = 0

    def __enter__(self) -> Network:
        self.network = self.network or Network()
        self.users += 1
        return self.network

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        if self.network and not self.users:
            self.network.close()
            self.network = None


shared = Shared()


@pytest.fixture(scope="session")
def pcs() -> Iterator[Network]:
    """Two PCs; skips, with the reason, where there can be none."""
    with ExitStack() as held:
        try:
            network = held.enter_context(shared)
        except Refused as reason:
            pytest.skip(f"no PCs: {reason}")
        yield network


@pytest.fixture
def mended(pcs: Network) -> Iterator[Network]:
    """The same, for a test that cuts, slows or kills: afterwards all is whole again, also if the test fails."""
    yield pcs
    pcs.restore()
