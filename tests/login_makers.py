"""A process that makes a login and is killed with it there."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator

_TEXT = """
import importlib, sys
module, function, name, group = sys.argv[1:]
url = sys.stdin.readline().strip()
with getattr(importlib.import_module(module), function)(url, name, group):
    print("in", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def killed_maker(function: str, url: str, name: str, group: str) -> Iterator[Callable[[], None]]:
    """``function``, ``module:name``, has made the login in another process; what is given kills that with SIGKILL."""
    child = subprocess.Popen(
        [sys.executable, "-c", _TEXT, *function.split(":"), name, group],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(url + "\n")
    child.stdin.flush()
    try:
        assert child.stdout.readline() == "in\n"

        def kill() -> None:
            child.kill()
            child.communicate()

        yield kill
    finally:
        child.kill()
        child.communicate()
