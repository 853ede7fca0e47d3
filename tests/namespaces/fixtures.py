"""The fixtures: import them in a conftest.py."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from namespaces.commands import Refused
from namespaces.network import Network


@functools.cache
def shared() -> Network:
    """The one of this process, however many conftest.py files import the fixture."""
    return Network()


@pytest.fixture(scope="session")
def pcs() -> Iterator[Network]:
    """Two PCs; skips, with the reason, where there can be none."""
    try:
        network = shared()
    except Refused as reason:
        pytest.skip(f"no PCs: {reason}")
    yield network
    network.close()


@pytest.fixture
def mended(pcs: Network) -> Iterator[Network]:
    """The same, for a test that cuts, slows or kills: afterwards all is whole again, also if the test fails."""
    yield pcs
    pcs.restore()
