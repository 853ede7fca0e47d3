from collections.abc import Iterator

import pytest
from etl_world import World, world

from fixtures.giving import Giving
from harness.errors import EtlError, ServerUnavailable
from harness.etl.hop import Hop, setup
from harness.etl.log import open_log
from harness.plugin_etl import KeepRounds


@pytest.fixture(scope="session")
def hop() -> Hop:
    """The real Hop: found, or fetched once (other workers wait at its lock, and it stays in the user's cache folder)."""
    try:
        return setup()
    except EtlError as error:
        pytest.skip(f"the real Hop cannot be had: {error}")


@pytest.fixture
def there(giving: Giving, hop: Hop, etl_rounds: KeepRounds, request: pytest.FixtureRequest) -> Iterator[World]:
    """A world of its own for the test; its rounds go into the run's report."""
    try:
        with world(giving, hop) as made:
            yield made
            with open_log(made.databases["promptsales"].url) as log:
                title = request.node.name.removeprefix("test_").replace("_", " ")
                etl_rounds(log.rounds(100), log.quarantine(), title=title)
    except ServerUnavailable as error:
        pytest.skip(str(error))
