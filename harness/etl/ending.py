"""SIGTERM ends what runs as Ctrl-C does: tidily, and saying which of the two it was."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """Somebody sent SIGTERM."""


@contextlib.contextmanager
def sigterm_ends() -> Iterator[None]:
    """Meanwhile SIGTERM raises :class:`Terminated` in the main thread; in another thread this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def said_by(interrupt: BaseException) -> str:
    """What ended it, in a word."""
    return "SIGTERM" if isinstance(interrupt, Terminated) else "Ctrl-C"
