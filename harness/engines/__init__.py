"""The kinds of database, by name. A module, and with it its driver, is imported at its first use."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from harness.engines.base import Engine

_MODULES = {
    "postgresql": ("harness.engines.postgresql", "PostgreSQL"),
    "sqlserver": ("harness.engines.sqlserver", "SQLServer"),
    "mongodb": ("harness.engines.mongodb", "MongoDB"),
    "redis": ("harness.engines.redis", "Redis"),
}


@cache
def engine(name: str) -> Engine:
    """The engine called ``name``, one of :data:`ENGINES` (KeyError otherwise)."""
    module, cls = _MODULES[name]
    made: Engine = getattr(import_module(module), cls)()
    return made
