from __future__ import annotations

import pytest

from fixtures.databases import Database
from harness.errors import ServerUnavailable
from harness.promptsales.ready import check_has


def test_what_is_empty_is_said(promptsales_db: Database) -> None:
    check_has(promptsales_db.url, "open_session")
    with pytest.raises(ServerUnavailable, match=r"there is no close_the_shop.*harness seed small"):
        check_has(promptsales_db.url, "close_the_shop")


def test_what_does_not_answer_is_left_to_others() -> None:
    check_has("postgresql://127.0.0.1:1/promptsales", "open_session")
