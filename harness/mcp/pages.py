"""Cursors: where a page ended, as a text that a client gives back. They hold keys only, and are checked like any input."""

from __future__ import annotations

import base64
import binascii
import json
import math
from datetime import date
from typing import Any

from harness.errors import ToolRefused


def cursor_of(tool: str, *key: int | float | str | date) -> str:
    """The cursor after a row with this key, for the tool that wrote it.

    >>> after("campaigns", cursor_of("campaigns", date(2026, 1, 2), 7), date, int)
    (datetime.date(2026, 1, 2), 7)
    """
    written = [one.isoformat() if isinstance(one, date) else one for one in key]
    return base64.urlsafe_b64encode(json.dumps([tool, *written]).encode()).decode().rstrip("=")


def after(tool: str, cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The key in a cursor; None for None. Raises ToolRefused if it is not one that this tool has given."""
    if cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if type(found) is list and len(found) == 1 + len(kinds) and found[0] == tool:
            return tuple(_read(one, kind) for one, kind in zip(found[1:], kinds, strict=True))
    except (ValueError, OverflowError, binascii.Error, RecursionError):
        pass
    raise ToolRefused(f"the cursor is none that {tool} has given: leave it out to get the first page")


def _read(value: Any, kind: type) -> Any:
    if kind is date and isinstance(value, str):
        return date.fromisoformat(value)
    if kind is float and type(value) is int:
        return float(value)
    big = isinstance(value, int) and not -(2**63) <= value < 2**63  # no number of a database
    if type(value) is not kind or big or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(value)
    if isinstance(value, str) and any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in value):
        raise ValueError("what no text of a database holds")
    return value
