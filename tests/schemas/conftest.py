"""PromptAds and PromptCrm for tests that ask both engines the same.

``ads_sql`` and ``crm_sql`` give the sample's rows: on what ``promptads_db`` and ``promptcrm_db`` are, and, where there is a
server that speaks TDS, in T-SQL on that one too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tds import URL, WITHOUT, Tds

from fixtures.databases import Database

BOTH = ["own", "tds"] if URL else ["own"]  # test_tds.py says what is skipped


@pytest.fixture(scope="session")
def tds() -> Iterator[Tds]:
    if not URL:
        pytest.skip(WITHOUT)
    server = Tds()
    try:
        yield server
    finally:
        server.close()


def _sample(logical: str, where: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    if where == "own":
        request.node.add_marker(pytest.mark.data("sample"))
        yield request.getfixturevalue(f"{logical}_db")
        return
    server: Tds = request.getfixturevalue("tds")
    database = server.database(logical)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture(params=BOTH)
def ads_sql(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from _sample("promptads", request.param, request)


@pytest.fixture(params=BOTH)
def crm_sql(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from _sample("promptcrm", request.param, request)
