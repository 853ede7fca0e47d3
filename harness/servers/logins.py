"""Logins that we make for ourselves on somebody's servers: a random password, the rights of one role, gone afterwards.

Whoever makes them stays connected for as long as they are wanted, under a name that says so; the next one takes away those
whose maker is not there any more. Where none can be made (the URL names somebody who may make no logins), the URL's own is
used, and that is said.
"""

from __future__ import annotations

import contextlib
import importlib
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from harness.errors import HarnessError, LoginRefused, ServerError
from harness.servers.base import Target
from harness.servers.logins_postgresql import PostgreSQLLogin
from harness.servers.logins_sqlserver import SQLServerLogin
from harness.servers.urls import scrub

KEEP_SECONDS = 5.0
"""From one look at logins to the next."""


@dataclass(frozen=True, slots=True)
class LoginFor:
    """What a login is wanted for."""

    logical: str
    group: str
    """The role of that database whose rights the login has, and no others."""


@dataclass(slots=True)
class Entered:
    """Servers as we go into them, and what is to be said of it, a line each."""

    targets: Mapping[LoginFor, Target]
    notes: tuple[str, ...]
    own: tuple[LoginFor, ...]
    """Those that have a login of their own."""
    _kept: list[tuple[LoginFor, AbstractContextManager[str]]] = field(default_factory=list, repr=False)
    _refusals: dict[LoginFor, str] = field(default_factory=dict, repr=False)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What :meth:`keep` could not do when it last tried, a line each."""
        return tuple(self._refusals.values())

    def keep(self) -> None:
        """Go on having these logins: call it now and then, from one thread. Never raises; takes seconds at most.

        Connects again where a maker's connection was lost, makes logins anew that are gone: same name, same password.
        """
        for one, login in self._kept:
            try:
                login.keep()  # type: ignore[attr-defined]
            except HarnessError as error:
                self._refusals[one] = f"{one.logical}: {one_line(str(error), '')}"
            else:
                self._refusals.pop(one, None)


@contextlib.contextmanager
def logins(
    targets: Mapping[str, Target], wanted: Iterable[LoginFor], prefix: str, *, valid: timedelta | None
) -> Iterator[Entered]:
    """These servers with logins of our own, called ``prefix`` and something; at the end they are dropped.

    ``valid``: how long a password is taken, for a login that nobody could drop; None: for ever, and then
    :meth:`Entered.keep` is called meanwhile. A server that does not answer is left as it is, so whoever uses it will say
    so; but with ``valid`` None its login is promised, and made by ``keep`` when it is there: nobody goes in with the
    rights of the URL's login because a server was away for a moment. What is wanted of a database that is not among
    ``targets`` is left out.
    """
    entered = Entered({}, (), ())
    notes: list[str] = []
    made: dict[LoginFor, Target] = {}
    with contextlib.ExitStack() as stack:
        for one in dict.fromkeys(wanted):
            if one.logical not in targets:
                continue
            target = made[one] = targets[one.logical]
            maker = _MAKERS.get(target.engine)
            if maker is None:
                continue
            name = f"{prefix}{secrets.token_hex(6)}"
            try:
                login = maker(target.url, name, one.group, prefix, valid)
                try:
                    url = stack.enter_context(login)
                except ServerError as error:
                    if isinstance(error, LoginRefused) or valid is not None or not hasattr(login, "url"):
                        raise
                    stack.push(login)
                    url = login.url
            except HarnessError as error:
                if isinstance(error, LoginRefused) or not isinstance(error, ServerError):
                    why = one_line(str(error), target.url)
                    notes.append(f"{one.logical}: no login of its own, the URL's is used: {why}")
                continue
            made[one] = replace(target, url=url)
            entered.own += (one,)
            if hasattr(login, "keep"):
                entered._kept.append((one, login))
        entered.targets = made
        entered.notes = tuple(notes)
        yield entered


@contextlib.contextmanager
def kept(entered: Entered) -> Iterator[None]:
    """Meanwhile :meth:`Entered.keep` is called every few seconds."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(KEEP_SECONDS):
            entered.keep()

    keeper = threading.Thread(target=keep, name="logins", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join(30)


def one_line(text: str, url: str) -> str:
    """A server's text in one line, without the passwords of a URL."""
    return scrub(" ".join(text.split()), url)


def _elsewhere(module: str, function: str) -> Callable[..., AbstractContextManager[str]]:
    """The maker of a module that is imported when first needed: it brings a driver."""

    def make(url: str, name: str, group: str, prefix: str, valid: timedelta | None) -> AbstractContextManager[str]:
        try:
            found: Any = importlib.import_module(module)
        except ImportError:
            raise LoginRefused("none can be made here") from None
        login: AbstractContextManager[str] = getattr(found, function)(url, name, group)
        return login

    return make


_MAKERS: dict[str, Callable[[str, str, str, str, timedelta | None], AbstractContextManager[str]]] = {
    "postgresql": PostgreSQLLogin,
    "sqlserver": SQLServerLogin,
    "mongodb": _elsewhere("harness.servers.logins_mongodb", "mongodb_login"),
    "redis": _elsewhere("harness.servers.logins_redis", "redis_login"),
}
