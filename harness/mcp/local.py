"""The way in over stdio: whoever starts the server is who calls: they have its URLs anyway. The log says who they are."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Callable, Iterable
from typing import Any

from mcp.server.context import ServerRequestContext

from harness.errors import ToolRefused, did_you_mean
from harness.sso.model import ROLES, Caller

USUAL = ("reader", "analyst", "tester")
"""What a local user may be if nothing else is said: no sensitive fields, nothing of the admin's."""


def local_caller(roles: Iterable[str] = USUAL) -> Caller:
    """The user of this process. Raises ToolRefused for a role that there is not."""
    named = frozenset(roles)
    for role in sorted(named - set(ROLES)):
        raise ToolRefused(f"there is no role {role!r}{did_you_mean(role, ROLES)}: {', '.join(ROLES)}")
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name
        user = "unknown"
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", user)[:60]
    return Caller(f"local.{plain}", f"{user}@{socket.gethostname()}", named, "stdio")


def always(caller: Caller) -> Callable[[ServerRequestContext[Any, Any]], Caller]:
    """Every request is from them."""
    return lambda _: caller
