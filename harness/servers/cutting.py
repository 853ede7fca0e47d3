"""A bound on how long a PostgreSQL server is waited for: also one that is stopped, and so answers nothing at all.

libpq waits for ever for a server whose machine still acknowledges its packets. Here the socket is shut down below it: libpq
then says that the connection is lost.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg


def cut(link: psycopg.Connection[Any]) -> None:
    """Whoever waits for an answer of ``link`` gets psycopg.OperationalError now. Nobody may close it meanwhile."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(link.fileno())) as wire:
        _cut(wire)


@contextlib.contextmanager
def cut_after(link: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """Whoever still waits for an answer of ``link`` after so many seconds gets psycopg.OperationalError."""
    try:
        # A copy: the driver may close its own meanwhile, and the number may be somebody else's by then.
        wire = socket.socket(fileno=os.dup(link.fileno()))
    except (OSError, psycopg.Error):  # it is lost already
        yield
        return
    timer = threading.Timer(seconds, _cut, [wire])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        wire.close()


def _cut(wire: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is over already
        wire.shutdown(socket.SHUT_RDWR)
