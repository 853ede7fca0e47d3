"""How the command line speaks: plain lines in a pipe, and on a terminal a line that turns while something takes its time."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever reads has seen enough; that is no failure."""
        raise BrokenPipeError


def console() -> Console:
    """Where results are shown. A pipe gets plain text of a width that lines do not wrap at by surprise."""
    return Console() if sys.stdout.isatty() else _Console(width=110, force_terminal=False, no_color=True)


def say(where: Console, line: str) -> None:
    """One line, however wide the console is."""
    where.print(line, markup=False, highlight=False, soft_wrap=True)


def tell(text: str, *, error: bool = False) -> None:
    """Print at once and as it is, tabs and all; what the stream's encoding does not have is shown escaped."""
    stream = sys.stderr if error else sys.stdout
    encoding = stream.encoding or "utf-8"
    raw = text.encode(encoding, "backslashreplace")
    print(raw.decode(encoding), file=stream, flush=True)


@contextmanager
def progress(text: str, after: float = 0.0) -> Iterator[Callable[[str], None]]:
    """A line that turns while something takes its time, once it has taken ``after`` seconds; silent in a pipe."""
    where = Console(stderr=True)
    if not where.is_terminal:
        yield lambda line: None
        return
    status = where.status(text)
    timer = threading.Timer(after, status.start)
    timer.daemon = True
    if after > 0:
        timer.start()
    else:
        status.start()
    try:
        yield status.update
    finally:
        timer.cancel()
        if after > 0:
            timer.join()
        status.stop()


def short(path: Path) -> str:
    """A path as seen from here."""
    return os.path.relpath(path)
