from collections.abc import Iterator

import pytest

from harness.errors import EtlError
from harness.etl.hop import Hop, setup


@pytest.fixture(scope="session")
def hop() -> Iterator[Hop]:
    """The real Hop: found, or fetched once (other workers wait at its lock, and it stays in the user's cache folder)."""
    try:
        found = setup()
    except EtlError as error:
        pytest.skip(f"the real Hop cannot be had: {error}")
    yield found
