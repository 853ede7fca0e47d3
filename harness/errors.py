"""Every error that the harness raises on purpose, in one tree.

``str(error)`` is what a person reads: what was wrong, where, what to do. None of them needs a traceback.

    HarnessError
    ├── ScenarioError      a scenario file is wrong (file:line:column)
    ├── ServerError        a server cannot be had, or went away
    │   ├── ServerUnavailable   it cannot be had *here*: tests that need it are skipped with this text
    │   └── LoginRefused        it is there and says no
    ├── EngineError        a database answered in a way that ends the case
    │   └── DriverMissing       a driver or a system library it needs is not installed
    ├── HostError          a machine of --tx cannot be used, or was lost
    ├── SetupFailed        a scenario's set-up failed: the case never began
    ├── DataError          PromptSales's databases cannot be made or filled, or do not agree
    ├── EtlError           the ETL cannot be set up or run: no Java, no Hop, a download that failed
    └── StoreError         results/ cannot be written or read
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class HarnessError(Exception):
    """Base of all of them; ``exit_code`` is what the command line ends with."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a file: line and column count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ScenarioError(HarnessError):
    """A scenario file is wrong; ``location`` says where."""

    exit_code = 2

    def __init__(self, message: str, location: Location | None = None) -> None:
        super().__init__(f"{location}: {message}" if location else message)
        self.message = message
        self.location = location


class ServerError(HarnessError):
    """A server cannot be had, or went away."""

    exit_code = 3


class ServerUnavailable(ServerError):
    """The server cannot be had here (no Docker, no licence accepted, package not installed): skip, and say this."""


class LoginRefused(ServerError):
    """The server is there and refuses the login."""


class EngineError(HarnessError):
    """A database answered in a way that ends the case."""

    exit_code = 3


class DriverMissing(EngineError):
    """A driver, or a system library that it needs, is not installed."""


class HostError(HarnessError):
    """A machine that sessions were to run on cannot be used, or was lost."""

    exit_code = 3


class SetupFailed(HarnessError):
    """A scenario's set-up failed, so the case never began."""


class DataError(HarnessError):
    """The databases of PromptSales cannot be made or filled, or do not agree with each other."""


class EtlError(HarnessError):
    """The visual ETL cannot be set up or run: no Java, no Hop, a download that failed."""

    exit_code = 3


class ToolRefused(HarnessError):
    """What a caller asks of an MCP tool cannot be done; the text is for the caller, and holds no secret."""


class TokenRefused(HarnessError):
    """A token is not taken; the text says why, and nothing of the token."""


class SourceError(ServerError):
    """A database that an MCP server asks does not answer; the text is for the caller: it names neither host nor login."""


class StoreError(HarnessError):
    """The results folder cannot be written or read."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``", did you mean 'commit'?"`` if one of ``known`` resembles ``word``, else ``""``.

    >>> did_you_mean("comit", ["begin", "commit"])
    ", did you mean 'commit'?"
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""
