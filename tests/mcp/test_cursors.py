"""Cursors that no tool has given: whoever writes them is told so, and no database is asked."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from harness.errors import ToolRefused
from harness.mcp.pages import after, cursor_of

pytestmark = pytest.mark.mcp


def written(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(parts)).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        written("t", "\ud800"), written("t", "a\0"), written("t", 7), written("t", None), written("t", ["a"]), written("t"),
        written("other", "a"), written("t", "a", "b"), "", "é", "====", "eyJ", written("t", "a") + "!",
        base64.urlsafe_b64encode(b"[" * 250).decode(),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_text_that_is_none(cursor: str) -> None:
    with pytest.raises(ToolRefused, match="the cursor is none that t has given"):
        after("t", cursor, str)


@pytest.mark.parametrize("number", [True, 1.5, 2**63, -(2**63) - 1, "1", 10**30, float("nan"), float("inf")])
def test_a_number_that_is_none(number: Any) -> None:
    with pytest.raises(ToolRefused):
        after("t", written("t", number), int)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 10**400])
def test_a_number_that_is_not_finite(number: Any) -> None:
    with pytest.raises(ToolRefused):
        after("t", written("t", number), float)


def test_what_was_given_is_taken() -> None:
    assert after("t", cursor_of("t", 1.5, 2, "ñ"), float, int, str) == (1.5, 2, "ñ")
