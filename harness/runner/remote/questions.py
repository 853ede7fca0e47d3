"""What an agent can be asked about its machine, beside having sessions: what is installed there, which ports it gets to.

It travels. Answers are what JSON has; what is found wrong is part of the answer, nothing is raised for it.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import sysconfig
from collections.abc import Callable, Sequence
from typing import Any

from harness.runner.remote.drivers import found

PORT_SECONDS = 4.0
"""Seconds in which a server that is there takes a connection, even over a slow network."""


def installed(engines: Sequence[str]) -> dict[str, Any]:
    """The Python there, what pip can do for it (empty: all; ``missing``; ``managed``), the driver of each engine."""
    return {
        "executable": sys.executable or "python3",
        "pip": "managed" if _managed() else "missing" if importlib.util.find_spec("pip") is None else "",
        "drivers": {engine: found(engine) for engine in engines},
    }


def _managed() -> bool:
    """Whether the system keeps pip out of this Python: https://peps.python.org/pep-0668/."""
    mark = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return sys.prefix == sys.base_prefix and os.path.exists(mark)


def port(host: str, number: int) -> dict[str, str]:
    """Whether something takes connections at a port.

    ``state``: open, refused (nobody listens), silent (no answer), unreachable (the network says so), unknown (no such
    name); ``said``: the system's words for it; ``source``: the address by which the server sees this machine.
    """
    try:
        places = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return {"state": "unknown", "said": _words(error), "source": ""}
    answers = [_try(place, PORT_SECONDS / len(places)) for place in places]
    order = ("open", "refused", "silent", "unreachable")  # a name may have several addresses: the best one counts
    return min(answers, key=lambda answer: order.index(answer["state"]))


def _try(place: tuple[Any, ...], seconds: float) -> dict[str, str]:
    family, kind, protocol, _, address = place
    answer = {"state": "open", "said": "", "source": _source(family, address)}
    try:
        with socket.socket(family, kind, protocol) as trying:
            trying.settimeout(seconds)
            trying.connect(address)
    except ConnectionRefusedError as error:
        answer |= {"state": "refused", "said": _words(error)}
    except TimeoutError as error:
        answer |= {"state": "silent", "said": _words(error)}
    except OSError as error:
        answer |= {"state": "unreachable", "said": _words(error)}
    return answer


def _source(family: int, address: Any) -> str:
    """The address that is taken on the way there; to ask for it nothing is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect(address)
            return str(asking.getsockname()[0])
    except OSError:
        return ""


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


QUESTIONS: dict[str, Callable[..., dict[str, Any]]] = {"installed": installed, "port": port}
"""By the names that the controller asks them by."""
