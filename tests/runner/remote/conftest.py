from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from namespaces import mended, pcs

from harness.runner.remote.link import Link
from harness.runner.remote.places import Hosts
from harness.runner.remote.specs import host_specs

__all__ = ["mended", "pcs"]


@pytest.fixture
def link() -> Iterator[Callable[[str], Link]]:
    """Makes links that are open."""
    made: list[Link] = []

    def connect(text: str = "id=pc1//popen") -> Link:
        (spec,) = host_specs([text])
        made.append(Link(spec))
        made[-1].connect()
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def two() -> Iterator[Hosts]:
    """Two agents of the test's own, which it may kill."""
    hosts = Hosts(host_specs(["id=pc1//popen", "id=pc2//popen"]))
    hosts.connect()
    yield hosts
    hosts.close()
