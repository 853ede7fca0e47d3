"""What the MCP server of the cache offers: keys by their conventions, the limiter's state, statistics. It only looks.

Redis is asked in :mod:`harness.mcp.cache_reading`; here is who may see what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from harness.errors import DataError, ToolRefused
from harness.mcp.cache_reading import KEPT_BYTES, Reading
from harness.mcp.model import ANYBODY, Answer, Cursor, Limit, Page, Toolset, prompt, resource, tool
from harness.mcp.pages import after, cursor_of
from harness.promptsales.cache_keys import Key, conventions
from harness.servers.base import Target
from harness.servers.logins import LoginFor
from harness.sso.model import Caller

LOGINS: tuple[LoginFor, ...] = (LoginFor("cache", "cache_mcp"),)

SECRET = frozenset({"session", "lease", "lease_done"})
"""Conventions whose values are never shown, and whose keys are not listed."""
PERSONAL: Mapping[str, frozenset[str]] = {
    "client_card": frozenset({"analyst"}),
    "ratelimit": frozenset({"analyst", "tester", "admin"}),
}
"""Conventions that speak of single people, and the roles that may see their keys."""

Name = Literal[
    "content", "content_likes", "search", "campaign_summary", "campaign_budget", "client_card", "plan_price", "session",
    "ratelimit", "lease", "lease_done", "invalidation", "activity",
]  # fmt: skip
"""The conventions of ``keys.yaml``; a test holds them equal."""

KeyText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=260,
        description="A key that follows a convention, as 'plan:7:price'; the resource cache://conventions lists them",
    ),
]


class KeyFound(Answer):
    """A key, and what is there under it."""

    key: str
    convention: str
    owner: str = Field(description="The database whose data it is")
    holds: str = Field(description="What its value means")
    type: str = Field(description="string, hash, zset or stream")
    there: bool
    ttl_seconds: float | None = Field(
        description="How long it lives yet; null: until it is deleted, or it is not there"
    )
    seconds_by_convention: int | None = Field(description="How long one lives that was just written; null: for ever")
    size: int | None = Field(description="Bytes of a string, entries of others; null: not there, or not told")
    value: str | None = Field(description="The text of a string, cut at 16384 bytes; null: not there, or not shown")
    newest: list[dict[str, str]] = Field(description="Of activity: its last ten entries, newest first")
    note: str | None = Field(description="What was left out, and why")


class KeyListed(Answer):
    """A key of a convention."""

    key: str
    ttl_seconds: float | None = Field(description="null: until it is deleted")


class RateLimitState(Answer):
    """What the limiter knows of a subject, by the server's clock."""

    scope: str
    subject: str
    requests: int = Field(description="Requests that were let through within the window")
    window_seconds: float | None = Field(
        description="Null: nothing is known of it, so no request was let through lately"
    )
    limit: int | None
    remaining: int | None = Field(description="How many more are let through at once; null if no limit was given")
    retry_after_seconds: float | None = Field(
        description="When the next one is let through: 0 is now; null if no limit was given"
    )


class CacheStatistics(Answer):
    """What the server tells of itself. Hits, misses and memory are of the whole server, since it was started."""

    product: str
    version: str
    up_seconds: int
    clients: int
    keys: int = Field(description="In the database of this cache")
    hits: int = Field(description="Keys that were looked up and found")
    misses: int = Field(description="Keys that were looked up and not there")
    hit_ratio: float | None = Field(description="hits of all look-ups, from 0 to 1; null: there were none")
    expired_keys: int
    evicted_keys: int = Field(description="Thrown out for want of memory")
    used_memory_bytes: int
    max_memory_bytes: int | None = Field(description="null: as much as there is")
    eviction_policy: str
    commands_per_second: float


class Invalidated(Answer):
    """A key that was deleted because its data had changed."""

    entry: str = Field(description="Its place in the stream")
    at: datetime
    convention: str | None
    key: str | None = Field(description="null: a key that you are not shown")


class CacheTools(Toolset):
    """Tools of the cache."""

    name = "cache"
    title = "PromptSales: the cache"
    instructions = (
        "The cache (Redis) in front of PromptSales's databases: look a key up, see how long it lives yet, what a rate "
        "limiter knows, how well the cache works. Nothing can be changed here, and a look is not counted as a request. "
        "A value may be as old as its convention lets it be: for what is true now, ask the database that owns it."
    )

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._keys = conventions()

    def close(self) -> None:
        """Disconnect."""
        self._reading.close()

    @tool("Look up a key", roles=ANYBODY)
    def get_key(self, caller: Caller, key: KeyText) -> KeyFound:
        """What the cache holds under a key: value, type, time to live, and by which convention and whose data it is.

        Of sessions and leases only whether they are there and how long; client cards are for analysts. Long values are cut.
        Looking does not renew a key's time, nor load what is not there.
        """
        found = self._key(key)
        self._may_see(caller, found.convention.name)
        secret = found.convention.name in SECRET
        seen = self._reading.look(found.text, None if secret else found.convention.type)
        notes = [
            (secret, "its value is never shown"),
            (seen.cut, f"the value is cut at {KEPT_BYTES} bytes"),
            (seen.kind not in (None, found.convention.type), f"it is a {seen.kind}, against its convention"),
            (found.convention.name == "ratelimit", "rate_limit_state tells what it means"),
            (found.convention.name == "invalidation", "recent_invalidations tells what is in it"),
        ]
        return KeyFound(
            key=found.text,
            convention=found.convention.name,
            owner=found.convention.owner,
            holds=found.convention.holds,
            type=found.convention.type,
            there=seen.kind is not None,
            ttl_seconds=seen.ttl,
            seconds_by_convention=found.convention.seconds,
            size=seen.size,
            value=seen.value,
            newest=seen.newest if found.convention.name == "activity" else [],
            note="; ".join(note for holds, note in notes if holds) or None,
        )

    @tool("List keys", roles=ANYBODY)
    def list_keys(
        self,
        caller: Caller,
        convention: Annotated[
            Name, Field(description="The kind of key; the resource cache://conventions describes each")
        ],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[KeyListed]:
        """The keys of one convention that are in the cache, in no meaningful order.

        A page may have fewer keys than asked for, or none, and yet not be the last one. A key that is there all the time is
        listed, and twice if many others come or go meanwhile; those may be listed. Sessions and leases are not.
        """
        name = str(convention)
        if name not in self._keys.conventions:
            raise ToolRefused(f"there is no convention {name!r:.60}: {', '.join(self._keys.conventions)}")
        if name in SECRET:
            raise ToolRefused(f"keys of {name} are not listed: get_key tells whether one is there")
        self._may_see(caller, name)
        tool_name = f"list_keys of {name}"
        start, last = after(tool_name, cursor, str, str) or ("0", "")
        if not (start.isdecimal() and start.isascii() and int(start) < 2**64):
            raise ToolRefused(f"the cursor is none that {tool_name} has given: leave it out to get the first page")

        def fits(text: str) -> bool:
            key = self._keys.find(text)
            return key is not None and key.convention.name == name

        keys, onwards = self._reading.scan(self._keys.conventions[name].glob, fits, int(start), last, limit)
        items = [KeyListed(key=key, ttl_seconds=ttl) for key, ttl in self._reading.lifetimes(keys)]
        return Page[KeyListed](
            items=items, next_cursor=cursor_of(tool_name, str(onwards[0]), onwards[1]) if onwards else None
        )

    @tool("State of a rate limit", roles=PERSONAL["ratelimit"])
    def rate_limit_state(
        self,
        caller: Caller,
        scope: Annotated[str, Field(min_length=1, max_length=40, description="What is limited, as 'login' or 'api'")],
        subject: Annotated[str, Field(min_length=1, max_length=80, description="Who is limited: an id, an address")],
        limit: Annotated[
            int | None,
            Field(ge=1, le=1_000_000, description="The limit that its service uses: the cache does not know it"),
        ] = None,
        window_seconds: Annotated[
            float | None,
            Field(
                gt=0, le=31 * 24 * 3600, description="The window that its service uses; none: as the last request said"
            ),
        ] = None,
    ) -> RateLimitState:
        """How many requests of a subject a rate limiter has let through in its window, and when the next may go.

        Only looks: asking is not counted as a request.
        """
        try:
            key = self._keys.key("ratelimit", scope=scope, subject=subject)
        except DataError as error:
            raise ToolRefused(str(error)) from None
        window = None if window_seconds is None else max(1000, round(window_seconds * 1_000_000))
        state = self._reading.window(key.text, limit, window)
        return RateLimitState(
            scope=scope,
            subject=subject,
            requests=state.count,
            window_seconds=None if state.window is None else state.window / 1_000_000,
            limit=limit,
            remaining=None if limit is None else max(0, limit - state.count),
            retry_after_seconds=None if limit is None else state.wait / 1_000_000,
        )

    @tool("How well the cache works", roles=ANYBODY)
    def cache_statistics(self, caller: Caller) -> CacheStatistics:
        """Hits, misses, memory, keys, evictions and load of the cache's server."""
        return CacheStatistics(**self._reading.statistics())

    @tool("What was invalidated last", roles=ANYBODY)
    def recent_invalidations(self, caller: Caller, limit: Limit = 20, cursor: Cursor = None) -> Page[Invalidated]:
        """Keys that were deleted from the cache because their data had changed, newest first; about 10,000 are kept."""
        before = after("recent_invalidations", cursor, int, int)
        if before is not None and (min(before) < 0 or before == (0, 0)):
            raise ToolRefused(
                "the cursor is none that recent_invalidations has given: leave it out to get the first page"
            )
        entries = self._reading.invalidations(before, limit + 1)
        items = []
        for entry, text in entries[:limit]:
            key = self._keys.find(text)
            shown = key is not None and key.convention.name not in SECRET and self._sees(caller, key.convention.name)
            items.append(
                Invalidated(
                    entry=f"{entry[0]}-{entry[1]}",
                    at=datetime.fromtimestamp(min(entry[0], _LAST_MS) / 1000, UTC),
                    convention=key.convention.name if key else None,
                    key=text if shown else None,
                )
            )
        more = len(entries) > limit
        return Page[Invalidated](
            items=items, next_cursor=cursor_of("recent_invalidations", *entries[limit - 1][0]) if more else None
        )

    @resource("cache://conventions", "The keys of the cache", roles=ANYBODY, mime_type="text/markdown")
    def conventions(self, caller: Caller) -> str:
        """What each key is called, what it holds, how long it lives and whose data it is."""
        lines = [
            "# The keys of the cache",
            "",
            "| name | key | type | lives | owner | holds |",
            "|---|---|---|---|---|---|",
        ]
        for one in self._keys.conventions.values():
            lives = "until it is deleted" if one.seconds is None else f"{one.seconds} s"
            lines.append(f"| {one.name} | `{one.pattern}` | {one.type} | {lives} | {one.owner} | {one.holds} |")
        lines += [
            "",
            "Parts: `id` a whole number from 1; `word` lower-case letters, digits, `_`, `-`; `subject` letters, digits and "
            "`. _ @ + -`; `digest` 64 hexadecimal digits; `token` 32; `key` a key of these conventions.",
            "",
            f"Never shown: values of {', '.join(sorted(SECRET))}. For analysts only: client_card.",
        ]
        return "\n".join(lines) + "\n"

    @prompt("Why is this key stale?", roles=ANYBODY)
    def why_is_it_stale(self, caller: Caller, key: KeyText) -> str:
        """Find out why the cache shows something else than the database that owns it."""
        found = self._key(key)
        one = found.convention
        lives = "for ever, until somebody deletes it" if one.seconds is None else f"for {one.seconds} seconds"
        return (
            f"The cache's key {json.dumps(found.text)} seems to be stale. By its convention ({one.name}) it holds: "
            f"{one.holds}. Its data belong to {one.owner}; it lives {lives}.\n\n"
            f"Look it up with get_key, and compare what it says with what {one.owner} says now. From ttl_seconds and "
            "seconds_by_convention work out when it was written. See with recent_invalidations whether it was invalidated "
            "since its data changed. Then say which it is: it is not stale; it is as old as its convention lets it be; an "
            "invalidation is missing; or something writes it without a time to live. Say what you could not find out."
        )

    def _key(self, text: str) -> Key:
        found = self._keys.find(text)
        if found is None:
            known = ", ".join(one.pattern for one in self._keys.conventions.values())
            raise ToolRefused(f"{text!r:.80} is no key of the cache's conventions: {known}")
        return found

    def _sees(self, caller: Caller, convention: str) -> bool:
        return convention not in PERSONAL or caller.is_one_of(PERSONAL[convention])

    def _may_see(self, caller: Caller, convention: str) -> None:
        if not self._sees(caller, convention):
            raise ToolRefused(
                f"keys of {convention} speak of single people: they are for {', '.join(sorted(PERSONAL[convention]))}"
            )


_LAST_MS = 253_402_300_799_000  # the last second of the year 9999


def open_toolset(targets: Mapping[LoginFor, Target]) -> CacheTools:
    """The toolset of the cache; it connects when it is first asked."""
    return CacheTools(Reading(targets[LOGINS[0]].url))
