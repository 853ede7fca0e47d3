"""PromptCrm for the tests of the cipher."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.databases import Database


@pytest.fixture
def crm(promptcrm_db: Database) -> Database:
    if promptcrm_db.engine != "postgresql":
        pytest.skip("on SQL Server the keys lie in the server")
    return promptcrm_db


@pytest.fixture
def connection(crm: Database) -> Any:
    return crm.connect()
