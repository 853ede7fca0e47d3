"""Whether PromptSales has been filled, before something is built on it."""

from __future__ import annotations

import contextlib

import psycopg

from harness.errors import ServerUnavailable


def check_has(url: str, function: str) -> None:
    """Raises ServerUnavailable if PromptSales answers but has no function of that name.

    If it does not answer nothing is said: whoever needs it next will say so.
    """
    row: tuple[bool] | None = (True,)
    with contextlib.suppress(psycopg.Error), psycopg.connect(url, autocommit=True, connect_timeout=3) as link:
        row = link.execute("SELECT EXISTS (SELECT FROM pg_proc WHERE proname = %s)", [function]).fetchone()
    if row == (False,):
        raise ServerUnavailable(
            f"promptsales is empty, or older than this harness (there is no {function}): 'harness seed small' fills it"
        )
