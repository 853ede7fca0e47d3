"""Which login a sampler uses: the one that it was given, one of its own that may only look, or the URL's.

On servers that the harness started it makes a login of its own, with a password that nobody is shown, and removes it at
the end. Somebody else's server is left as it is: ``PROMPTSALES_MONITOR_URL`` and the like give a login for it, else the
URL's own is used.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from harness.monitor.base import Lost, Refused, Sampler, Watching, login_name
from harness.servers.base import Target
from harness.servers.urls import VARIABLE

OURS = ("embedded", "containers", "up")
"""Origins of servers that the harness started."""

MONITOR_VARIABLE = {logical: name.replace("_URL", "_MONITOR_URL") for logical, name in VARIABLE.items()}
"""The environment variables that say by which login a database's server is to be watched."""


class Access:
    """The way into one server, again and again."""

    def __init__(self, target: Target, watching: Watching, run: str, environ: Mapping[str, str]) -> None:
        self.target = target
        self.notes: list[str] = []
        self._watching = watching
        self._run = run
        self._given = environ.get(MONITOR_VARIABLE[target.logical], "").strip() if target.origin not in OURS else ""
        self._own = ""  # URL of the login that we made
        self._made: list[str] = []
        self._enrols = target.origin in OURS
        if not self._given and not self._enrols:
            self._note(
                f"watched by the login of the URL, which may do more than look; {MONITOR_VARIABLE[target.logical]} gives "
                "another one"
            )

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def open(self) -> Sampler:
        """Connect. Raises Lost; the next time everything is tried anew."""
        if self._given:
            return self._watching.open(self._given, self._run)
        if self._own:
            try:
                return self._watching.open(self._own, self._run)
            except Lost:
                pass  # the server is away, or it was started anew and has forgotten the login
        if not self._enrols:
            return self._watching.open(self.target.url, self._run)
        name = login_name(self._run, secrets.token_hex(3))
        try:
            self._own = self._watching.enrol(self.target.url, name, self._run)
        except Refused as why:
            return self._without(str(why))
        self._made.append(name)
        try:
            return self._watching.open(self._own, self._run)
        except Lost as why:  # the server knows it and does not let it in
            self._own = ""
            self.close()
            return self._without(str(why))

    def _without(self, why: str) -> Sampler:
        """Go in by the URL's own login, and stay with that. Raises Lost if it is the server that is not there."""
        sampler = self._watching.open(self.target.url, self._run)
        self._enrols = False
        self._note(f"no login of its own, it is watched by the harness's: {why}")
        return sampler

    def close(self) -> None:
        """Remove what was made; never raises."""
        for name in self._made:
            try:
                self._watching.expel(self.target.url, name)
            except Refused:
                continue  # the server is gone, or the next monitor there sweeps
        self._made.clear()
