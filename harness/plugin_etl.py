"""pytest's door for the ETL: rounds of tests in the run's results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.etl.log import Quarantined
    from harness.etl.model import Round
    from harness.suite import Suite

KeepRounds = Callable[..., Path]


@pytest.fixture
def etl_rounds(suite: Suite, request: pytest.FixtureRequest, record_property: Any) -> KeepRounds:
    """A function: keep rounds in the run's results, so that its report shows them. Gives the file."""
    from harness.etl.keep import keep
    from harness.etl.kept import record

    def keep_rounds(
        rounds: Iterable[Round], quarantine: Iterable[Quarantined] = (), *, title: str = "", **more: Any
    ) -> Path:
        path = keep(suite, record(request.node.name, rounds, quarantine, title=title, **more))
        record_property("evidence", str(path))
        return path

    return keep_rounds
