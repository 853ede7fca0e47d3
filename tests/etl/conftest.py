from collections.abc import Iterator

import pytest
from etl_world import World, world

from fixtures.giving import Giving
from harness.errors import EtlError, ServerUnavailable
from harness.etl.hop import Hop, setup


@pytest.fixture(scope="session")
def hop() -> Hop:
    """The real Hop: found, or fetched once (other workers wait at its lock, and it stays in the user's cache folder)."""
    try:
        return setup()
    except EtlError as error:
        pytest.skip(f"the real Hop cannot be had: {error}")


@pytest.fixture
def there(giving: Giving, hop: Hop) -> Iterator[World]:
    """A world of its own for the test."""
    try:
        with world(giving, hop) as made:
            yield made
    except ServerUnavailable as error:
        pytest.skip(str(error))
