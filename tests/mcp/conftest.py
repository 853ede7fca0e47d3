from __future__ import annotations

from collections.abc import Iterator

import pytest
from mcp_world import World, world

from fixtures.giving import Giving
from harness.errors import ServerUnavailable


@pytest.fixture(scope="session")
def seeded(giving: Giving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The five databases, seeded; nobody writes but into the log of calls."""
    try:
        with world(giving, tmp_path_factory.mktemp("results")) as made:
            yield made
    except ServerUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def own_world(giving: Giving, tmp_path: pytest.TempPathFactory) -> Iterator[World]:
    """The same, for one test."""
    try:
        with world(giving, tmp_path) as made:  # type: ignore[arg-type]
            yield made
    except ServerUnavailable as error:
        pytest.skip(str(error))
