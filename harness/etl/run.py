"""One round: logins, Hop's workflow, and what became of it by PromptSales's own log.

Hop is behind a small Protocol. Whatever ends it (an error, a kill, Ctrl-C), no run stays behind as if it were under way:
what is left of its sessions is put out first, so that a merge is either whole or gone, and then the runs are ended as
failed, with what Hop said. Where PromptSales itself is away by then, its next round does that.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import EtlError, HarnessError, ServerError, ServerUnavailable
from harness.etl.ending import said_by
from harness.etl.log import Log, open_log
from harness.etl.logins import logins
from harness.etl.model import SOURCES, Round
from harness.servers.base import Target
from harness.servers.urls import scrub

WORKFLOW = "workflows/delta.hwf"

_GRAIN = 0.5  # seconds between two looks at whether Hop has ended
_LONGEST = 400  # characters of what Hop said
_UNDER_WAY = re.compile(r"round \d+ is under way since .*?: two do not overlap")
_ROUND = re.compile(r"Set variable ROUND to value \[(\d+)\]")
_ACTION = re.compile(r" - (?:delta|merge) - Starting action \[(.*)\]")
_COUNT = re.compile(r"linenr (\d+)")
_SHOWN = 90
_UP = "start it with 'harness up', or give its URL"
_STAND_INS = {"promptads": "postgresql", "promptcrm": "postgresql", "promptcontent": "mongodb", "cache": "redis"}


class Ended(Protocol):
    """How Hop ended: its exit code (0: every source was merged), its error lines, its log."""

    @property
    def code(self) -> int:
        """More than 128: 128 and the signal that ended it."""
        ...

    @property
    def errors(self) -> tuple[str, ...]:
        """The lines that say what went wrong, the first one first."""
        ...

    @property
    def log(self) -> Path:
        """The file with all that it said."""
        ...


class Running(Protocol):
    """A Hop that runs."""

    def wait(self, timeout: float | None = None) -> Ended:
        """How it ended. Raises TimeoutError if it has not within ``timeout`` seconds."""
        ...

    def kill(self) -> None:
        """End it, and whatever it started; never raises."""
        ...


class Hop(Protocol):
    """A Hop that can be started: :class:`harness.etl.hop.Hop`, or one of the tests."""

    def start(self, workflow: str, variables: Mapping[str, str], on_line: Callable[[str], None]) -> Running:
        """Start a workflow of ``etl/``; its lines go to ``on_line``, in a thread. Raises EtlError."""
        ...


class UnderWay(EtlError):
    """A round is under way: two do not overlap."""


class NoRound(EtlError):
    """Hop ended without having begun a round; ``why``, and ``log``, the file with all that it said."""

    def __init__(self, why: str, log: Path) -> None:
        super().__init__(f"{why}; no round was begun (all that it said: {log})")
        self.why = why
        self.log = log


@dataclass(frozen=True, slots=True)
class Launched:
    """A round that was run here."""

    round: Round
    seconds: float
    """From Hop's start to its end."""
    code: int
    """Hop's."""
    said: tuple[str, ...]
    """Hop's error lines, without secrets."""
    notes: tuple[str, ...]
    """What a person should know of how it was run, a line each."""
    log: Path | None = None


Variables = Callable[[Mapping[str, Target]], Mapping[str, str]]


def run(
    targets: Mapping[str, Target],
    hop: Hop,
    *,
    missing: Mapping[str, str] | None = None,
    on_text: Callable[[str], None] = lambda text: None,
    variables: Variables | None = None,
    workflow: str = WORKFLOW,
) -> Launched:
    """Run one round on these servers. ``missing``: why others are not there; their runs fail, the others go on.

    Interrupted (KeyboardInterrupt), Hop is ended, its round too, and the interrupt goes on. Raises ServerUnavailable,
    ServerError (PromptSales is away), UnderWay, EtlError (PromptSales has no tables; Hop began no round).
    """
    missing = missing or {}
    sales = _promptsales(targets, missing)
    notes = [f"{name}: {missing.get(name, 'not given')}; its run fails" for name in SOURCES if name not in targets]
    secret = Secrets(target.url for target in targets.values())
    on_text("looking into PromptSales's log")
    with open_log(sales.url) as log:
        before = log.last_number()
        if (since := log.under_way()) is not None:
            raise UnderWay(f"round {since[0]} is under way since {since[1]:%Y-%m-%d %H:%M:%S}: two do not overlap")
    on_text("making logins")
    ended: Ended | None = None
    interrupt: BaseException | None = None
    began = time.monotonic()
    with logins({**targets, **_nowhere(targets)}) as entered:
        secret.add(target.url for target in entered.targets.values())
        notes += entered.notes
        values = (variables or _variables)(entered.targets)
        on_text("starting Hop")
        told = _Told(on_text, secret)
        running = hop.start(workflow, values, told)
        try:
            ended = _wait(running)
        except BaseException as error:  # noqa: BLE001 - raised again below, once nobody is in by our logins any more
            interrupt = error
            running.kill()
        if (ended is None or ended.code) and "promptsales" not in entered.own:
            _end_sessions(sales, before, told.number)
    if ended is None or interrupt is not None:
        why = f"ended by {said_by(interrupt)}" if isinstance(interrupt, KeyboardInterrupt) else str(interrupt)
        with contextlib.suppress(HarnessError):  # PromptSales is away: its next round does it
            _fail(sales, before, told.number, why)
        raise interrupt or EtlError(why)
    seconds = time.monotonic() - began
    said = tuple(secret.scrub(line)[:_LONGEST] for line in ended.errors)
    why = f"Hop {_how(ended.code)}" + (f": {said[0]}" if said else "")
    for line in said:
        if under_way := _UNDER_WAY.search(line):
            raise UnderWay(under_way[0])
    try:
        found = _fail(sales, before, told.number, f"{why}; this source was not merged")
    except ServerError as error:
        raise ServerError(f"{error}; {why}") from None
    if found is None:
        raise NoRound(why, ended.log)
    return Launched(found, seconds, ended.code, said, tuple(notes), ended.log)


def _promptsales(targets: Mapping[str, Target], missing: Mapping[str, str]) -> Target:
    """Where the round goes to. Raises ServerUnavailable if that is not there, or no source is."""
    if "promptsales" not in targets:
        raise ServerUnavailable(f"promptsales: {missing.get('promptsales', _UP)}: no round without it")
    if not any(name in targets for name in SOURCES):
        raise ServerUnavailable(f"none of {', '.join(SOURCES)} is up: {_UP}")
    return targets["promptsales"]


def _nowhere(targets: Mapping[str, Target]) -> dict[str, Target]:
    """For sources that are not there, a place where nobody listens: their runs fail by themselves, the others go on."""
    return {
        name: Target(name, engine, f"{engine}://nobody:none@127.0.0.1:1/{0 if engine == 'redis' else name}")
        for name, engine in _STAND_INS.items()
        if name not in targets
    }


def _variables(targets: Mapping[str, Target]) -> Mapping[str, str]:
    from harness.etl.connections import variables

    made: Mapping[str, str] = variables(targets)
    return made


def _wait(running: Running) -> Ended:
    while True:  # in short pieces: everywhere, Ctrl-C is heard between them
        with contextlib.suppress(TimeoutError):
            return running.wait(_GRAIN)


def _how(code: int) -> str:
    return f"was ended by signal {code - 128}" if code > 128 else f"ended with code {code}"


def _begun(log: Log, before: int, number: int | None) -> Round | None:
    """The round that was begun: Hop says its number; did we not hear it, then the first one since, as two do not overlap."""
    later = log.rounds(1_000, before)
    return next((one for one in later if number in (None, one.number)), None)


def _end_sessions(sales: Target, before: int, number: int | None) -> None:
    """Where the ETL has no login of its own, that is dropped: end what is left of its sessions. Never raises."""
    with contextlib.suppress(HarnessError), open_log(sales.url) as log:
        if found := _begun(log, before, number):
            log.end_sessions(found.number)


def _fail(sales: Target, before: int, number: int | None, why: str) -> Round | None:
    """End runs that are still under way as failed; gives the round. Raises ServerError if PromptSales is away."""
    with open_log(sales.url) as log:
        found = _begun(log, before, number)
        if found is None:
            return None
        for one in found.runs:
            if one.status == "running":
                log.fail(found.number, one.source, why)
        return log.round(found.number)


class Secrets:
    """Takes the passwords of URLs out of texts."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = set(urls)

    def add(self, urls: Iterable[str]) -> None:
        """More of them."""
        self._urls.update(urls)

    def scrub(self, text: str) -> str:
        """A text in one line, without them."""
        text = " ".join(text.split())
        for url in self._urls:
            text = scrub(text, url)
        return text


class _Told:
    """Hears Hop's lines: makes of them what is shown while it runs, and learns the round's number."""

    def __init__(self, on_text: Callable[[str], None], secret: Secrets) -> None:
        self.number: int | None = None
        self._on_text = on_text
        self._secret = secret
        self._doing = "Hop"

    def __call__(self, line: str) -> None:
        """Hear one."""
        if found := _ROUND.search(line):
            self.number = int(found[1])
        elif found := _ACTION.search(line):
            self._doing = found[1]
            self._tell(self._doing)
        elif found := _COUNT.search(line):
            self._tell(f"{self._doing}: {int(found[1]):,} rows")

    def _tell(self, text: str) -> None:
        self._on_text(self._secret.scrub(f"round {self.number}: {text}" if self.number else text)[:_SHOWN])
