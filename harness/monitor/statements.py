"""The most expensive statements of a watched time: what a server's account of them has grown by since the first look."""

from __future__ import annotations

from collections.abc import Mapping

from harness.monitor.base import Numbers, Sampler
from harness.monitor.scrubbing import scrub_statement
from harness.monitor.series import TopStatement

MOST = 20
_LOOKED_AT = 60
"""Texts that are fetched: the same statement has one entry for each database and login."""

_NOTHING = Numbers(0, 0.0, None)


class Statements:
    """A server's statements over the time that it is watched. Only texts without values are kept."""

    def __init__(self) -> None:
        self._last: Mapping[str, Numbers] | None = None
        self._grown: dict[str, Numbers] = {}
        self._texts: dict[str, str] = {}
        self.top: list[TopStatement] = []

    def look(self, sampler: Sampler) -> list[TopStatement]:
        """What was most expensive so far; nothing when first asked. Raises Lost."""
        now = sampler.statements()
        last, self._last = self._last, now
        if last is None:
            return []
        for key, numbers in now.items():
            more = _since(last.get(key), numbers)
            if more.calls > 0:
                self._grown[key] = _sum(self._grown.get(key, _NOTHING), more)
        dear = sorted(self._grown, key=lambda key: -self._grown[key].milliseconds)[:_LOOKED_AT]
        if missing := [key for key in dear if key not in self._texts]:
            found = sampler.texts(missing)
            self._texts |= {key: scrub_statement(text) for key, text in found.items() if text}
        by_text: dict[str, Numbers] = {}
        for key in dear:
            if text := self._texts.get(key):
                by_text[text] = _sum(by_text.get(text, _NOTHING), self._grown[key])
        made = [TopStatement(text, one.calls, round(one.milliseconds, 3), one.rows) for text, one in by_text.items()]
        self.top = sorted(made, key=lambda one: -one.milliseconds)[:MOST]
        return self.top


def _since(before: Numbers | None, now: Numbers) -> Numbers:
    """The growth; an entry that has shrunk was thrown out, or the server started anew, and it was made again since."""
    if before is None or before.calls > now.calls:
        return now
    rows = None if now.rows is None else now.rows - (before.rows or 0)
    return Numbers(now.calls - before.calls, max(0.0, now.milliseconds - before.milliseconds), rows)


def _sum(one: Numbers, other: Numbers) -> Numbers:
    rows = None if one.rows is None and other.rows is None else (one.rows or 0) + (other.rows or 0)
    return Numbers(one.calls + other.calls, one.milliseconds + other.milliseconds, rows)
