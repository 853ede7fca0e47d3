"""What every request passes: who asks, whether they may, whether too often; and its entry in the AI log.

An answer leaves only when its entry has been committed. A call that changes something has one entry more, from before it
began. What cannot be logged or counted (PromptSales or the cache is away) is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import anyio.to_thread
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import UriTemplate
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent
from pydantic import BaseModel

from harness.ai_log.model import Call
from harness.errors import HarnessError, ToolRefused, did_you_mean
from harness.mcp.arguments import check_arguments, check_texts, loggable
from harness.mcp.model import ResourceSpec, Spec, ToolSpec
from harness.mcp.running import CALLER
from harness.mcp.turns import Turns
from harness.promptsales.cache import Decision
from harness.sso.model import Caller

logger = logging.getLogger("promptsales.mcp")

_TARGET = 200  # characters of a name in the log
_LONGEST_URI = 1000
_THREADS = 20  # that count and log
_AT_ONCE = 4  # calls of one caller: half of a database's sessions
_SUBJECT = re.compile(r"[A-Za-z0-9._@+-]{1,80}")

_CALLS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_LISTS = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}


class Limiter(Protocol):
    """Counts the calls of a subject: :class:`harness.promptsales.cache.RateLimiter`."""

    def hit(self, subject: str) -> Decision:
        """Count one. Raises HarnessError when the counter is away."""
        ...


class Log(Protocol):
    """Where calls are written down: :class:`harness.ai_log.store.AiLog`."""

    def append(self, call: Call) -> int:
        """Its number, committed. Raises HarnessError."""
        ...


Admit = Callable[[ServerRequestContext[Any, Any]], Caller]
"""Who a request is from. Raises ToolRefused."""


class _TooMany(ToolRefused):
    """The limiter does not let it through."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """Something that can be asked for."""

    spec: Spec
    arguments: FuncMetadata

    @property
    def known(self) -> frozenset[str]:
        """The names of its arguments."""
        fields = self.arguments.arg_model.model_fields
        return frozenset(field.alias or name for name, field in fields.items())

    def read(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Arguments as the SDK will read them: a tool's, where not only a text will do, may be JSON in a text."""
        return self.arguments.pre_parse_json(dict(arguments)) if isinstance(self.spec, ToolSpec) else arguments


class Guard:
    """The middleware of one server."""

    def __init__(self, admit: Admit, limiter: Limiter, log: Log) -> None:
        self._admit, self._limiter, self._log = admit, limiter, log
        self._server = ""
        self._offers: dict[tuple[str, str], _Offer] = {}
        self._templates: list[tuple[UriTemplate, _Offer]] = []
        self._secrets = False
        self._turns = Turns(_AT_ONCE)
        self._room = anyio.CapacityLimiter(_THREADS)

    def watch(self, server: str, offered: Mapping[str, tuple[Spec, FuncMetadata]]) -> None:
        """Know what the server of that name offers: by name what it is, and what arguments it takes."""
        self._server = server
        for name, (spec, arguments) in offered.items():
            offer = _Offer(spec, arguments)
            if isinstance(spec, ToolSpec):
                self._secrets = self._secrets or bool(spec.secrets)
                self._offers["tools/call", name] = offer
            elif isinstance(spec, ResourceSpec):
                self._offers["resources/read", spec.uri] = offer
                if "{" in spec.uri:
                    self._templates.append((UriTemplate.parse(spec.uri), offer))
            else:
                self._offers["prompts/get", name] = offer

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """See :class:`mcp.server.context.ServerMiddleware`."""
        if ctx.method in _LISTS:
            return self._allowed(ctx, await call_next(ctx))
        if ctx.method not in _CALLS or ctx.request_id is None:  # a notification: nothing is done for it
            return await call_next(ctx)
        begin = time.perf_counter()
        params = dict(ctx.params or {})
        target = str(params.get(_CALLS[ctx.method], ""))[:_TARGET]
        offer, arguments = self._asked(ctx.method, params)
        caller = self._admitted(ctx)

        def entry(outcome: str, result: dict[str, Any] | None = None, error: str | None = None) -> Call:
            spent = (time.perf_counter() - begin) * 1000
            masked = loggable(arguments, self._hidden(offer, arguments))
            rows, digest = (rows_of(result), digest_of(result)) if outcome == "ok" and result else (None, None)
            return Call(
                self._server, ctx.method, target, caller, masked, outcome, rows, spent, digest, error and error[:1000]
            )

        try:
            await self._aside(self._limiter.hit, subject_of(caller), self._limited)
            self._check(caller, ctx.method, target, offer, arguments)
            if offer and isinstance(offer.spec, ToolSpec) and offer.spec.changes:
                await self._append(entry("begun"))
        except ToolRefused as error:
            if not isinstance(error, _TooMany) or await self._is_news(caller):
                await self._written(entry("refused", error=str(error)))
            return _refusal(ctx, str(error))
        failed: MCPError | None = None
        try:
            async with self._turn(caller):
                result = _dumped(await call_next(ctx))
        except MCPError as error:
            failed, done = error, entry("error", error=error.error.message)
        except (anyio.get_cancelled_exc_class(), Exception):
            await self._written(entry("error", error="it was cancelled, or failed inside the server"))
            raise
        else:
            wrong = _error_of(result)
            done = entry("error", result, wrong) if wrong is not None else entry("ok", result)
        try:
            await self._append(done)
        except ToolRefused as error:
            return _refusal(ctx, str(error))
        if failed is not None:
            raise failed
        return result

    @contextlib.asynccontextmanager
    async def _turn(self, caller: Caller) -> AsyncIterator[None]:
        """What is called meanwhile is called for them."""
        async with self._turns.of(subject_of(caller)):
            token = CALLER.set(caller)
            try:
                yield
            finally:
                CALLER.reset(token)

    def _hidden(self, offer: _Offer | None, arguments: Mapping[str, Any]) -> frozenset[str]:
        """Arguments whose values the log must not have: those that are secret, and those that may be, under a wrong name."""
        spec, known = (offer.spec, offer.known) if offer else (None, frozenset())
        named = spec.secrets if isinstance(spec, ToolSpec) else frozenset()
        return named | (arguments.keys() - known if self._secrets else frozenset())

    def _asked(self, method: str, params: Mapping[str, Any]) -> tuple[_Offer | None, Mapping[str, Any]]:
        """What is asked for, None if there is no such thing, and with which arguments."""
        target = str(params.get(_CALLS[method], ""))
        given = params.get("arguments")
        found = self._offers.get((method, target))
        if method != "resources/read":
            return found, given if isinstance(given, dict) else {}
        if found is None and len(target) <= _LONGEST_URI:
            for template, offer in self._templates:
                if (parts := template.match(target)) is not None:
                    return offer, parts
        return found, {}

    def _admitted(self, ctx: ServerRequestContext[Any, Any]) -> Caller:
        try:
            return self._admit(ctx)
        except ToolRefused as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from None

    def _allowed(self, ctx: ServerRequestContext[Any, Any], result: HandlerResult) -> HandlerResult:
        """A list without what the caller may not use."""
        caller, listed = self._admitted(ctx), _dumped(result)
        key, name = _LISTS[ctx.method]
        method = {"tools": "tools/call", "prompts": "prompts/get"}.get(key, "resources/read")
        listed[key] = [
            one
            for one in listed.get(key, [])
            if (offer := self._offers.get((method, one[name]))) and caller.is_one_of(offer.spec.roles)
        ]
        return listed

    def _limited(self, decision: Decision) -> None:
        if not decision.allowed:
            seconds = max(1, -(-decision.retry_after_ms // 1000))
            raise _TooMany(f"too many calls: try again in {seconds} s")

    async def _is_news(self, caller: Caller) -> bool:
        """Whether one call too many is logged: as many of them are as are let through, or they would fill the log."""
        try:
            await self._aside(self._limiter.hit, _digest(f"too many {subject_of(caller)}"), self._limited)
        except _TooMany:
            return False
        except ToolRefused:  # that cannot be told now
            return True
        return True

    def _check(
        self, caller: Caller, method: str, target: str, offer: _Offer | None, arguments: Mapping[str, Any]
    ) -> None:
        """Raises ToolRefused: not allowed, or the arguments are none."""
        # What a caller may not use is not there for them.
        if offer is None or not caller.is_one_of(offer.spec.roles):
            kind = {"tools/call": "tool", "prompts/get": "prompt"}.get(method, "resource")
            theirs = [
                name for (of, name), one in self._offers.items() if of == method and caller.is_one_of(one.spec.roles)
            ]
            raise ToolRefused(
                f"{self._server} has no {kind} {target!r:.100} for you{did_you_mean(target[:100], theirs) or ':'} "
                f"your roles are {_roles(caller)}"
            )
        check_texts(arguments)
        read = offer.read(arguments)
        check_texts(read)
        check_arguments(offer.arguments.arg_model, read)

    async def _append(self, call: Call) -> None:
        """Log a call, also one whose client is gone. Raises ToolRefused if that fails."""
        with anyio.CancelScope(shield=True):
            await self._aside(self._log.append, call, _unlogged)

    async def _aside(self, work: Callable[[Any], Any], given: Any, judge: Callable[[Any], None]) -> None:
        """Do blocking work in a thread; ``judge`` what comes of it. What is away is refused in words."""
        try:
            found = await anyio.to_thread.run_sync(work, given, limiter=self._room)
        except HarnessError as error:
            logger.warning("a call is refused: %s", error)
            raise ToolRefused(
                "calls cannot be counted or logged at the moment, so none is answered: try again later"
            ) from None
        judge(found)

    async def _written(self, call: Call) -> None:
        """Log a call that gave nothing away; if that fails, there is nothing to hold back."""
        try:
            await self._append(call)
        except ToolRefused:
            logger.warning("%s: a call that was %s could not be logged", self._server, call.outcome)


def subject_of(caller: Caller) -> str:
    """The caller as the rate limiter's keys can have them."""
    if _SUBJECT.fullmatch(caller.subject):
        return caller.subject
    return _digest(caller.subject)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def rows_of(result: Mapping[str, Any]) -> int:
    """How many rows an answer has: those of its page, else one."""
    structured = result.get("structuredContent")
    items = structured.get("items") if isinstance(structured, dict) else None
    return len(items) if isinstance(items, list) else 1


def digest_of(result: Mapping[str, Any]) -> str:
    """SHA-256 of an answer, hexadecimal: of its JSON with sorted keys and no spaces, without the envelope (``_meta``)."""
    body = {key: result[key] for key in ("content", "structuredContent", "contents", "messages") if key in result}
    written = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def _unlogged(_: Any) -> None:
    """There is nothing to judge about an entry's number."""


def _dumped(result: HandlerResult) -> dict[str, Any]:
    if isinstance(result, BaseModel):
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return dict(result) if isinstance(result, Mapping) else {}


def _error_of(result: Mapping[str, Any]) -> str | None:
    """What a tool says went wrong, None if nothing did."""
    if not result.get("isError"):
        return None
    return next((one["text"] for one in result.get("content", []) if one.get("type") == "text"), "it failed")


def _refusal(ctx: ServerRequestContext[Any, Any], text: str) -> HandlerResult:
    """A refusal where the client's assistant sees it: a tool's answer, else an error of the protocol."""
    if ctx.method != "tools/call":
        raise MCPError(code=INTERNAL_ERROR if "try again" in text else INVALID_PARAMS, message=text)
    return _dumped(CallToolResult(content=[TextContent(type="text", text=text)], is_error=True))


def _roles(caller: Caller) -> str:
    return ", ".join(sorted(caller.roles)) or "none"
