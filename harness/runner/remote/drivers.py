"""The drivers of the engines on the machine that this runs on: which are there, how the others are installed. It travels."""

from __future__ import annotations

import importlib
import importlib.util
import sys

from harness.errors import DriverMissing

PIP = {"postgresql": "psycopg[binary]", "sqlserver": "pyodbc", "mongodb": "pymongo", "redis": "redis"}
"""What pip installs for each engine."""

DRIVERS = {"postgresql": "psycopg", "sqlserver": "pyodbc", "mongodb": "pymongo", "redis": "redis"}
"""The module that each engine imports."""


def how_to_install(name: str) -> str:
    """What to do where the driver of an engine is missing."""
    return f"{sys.executable} -m pip install '{PIP[name]}'"


def driver(name: str) -> str:
    """``psycopg 3.2.3``: the driver that an engine has loaded."""
    module = sys.modules.get(DRIVERS[name])
    version = getattr(module, "__version__", "") or getattr(module, "version", "")
    return f"{DRIVERS[name]} {version}".strip()


def found(name: str) -> dict[str, str]:
    """``driver``, with its version; or its ``problem``, with what ``pip`` installs if that can help.

    For SQL Server ``odbc`` is the ODBC driver that would be taken; without one there is a problem, too.
    """
    answer = {"driver": "", "odbc": "", "problem": "", "pip": ""}
    module = DRIVERS[name]
    if importlib.util.find_spec(module) is None:
        return answer | {"problem": f"{module} is not installed", "pip": PIP[name]}
    try:
        if name == "sqlserver":
            answer["odbc"] = _odbc()
        importlib.import_module(module)
    except DriverMissing as missing:
        answer["problem"] = str(missing)
    except ImportError as missing:
        answer |= {"problem": f"{module} cannot be imported ({missing})", "pip": PIP[name]}
    return answer | {"driver": driver(name) if module in sys.modules else ""}


def _odbc() -> str:
    """Name or file of the ODBC driver for SQL Server. Raises DriverMissing, saying what to install."""
    from harness.engines.sqlserver import driver

    driver.odbc()
    return driver.find_driver()
