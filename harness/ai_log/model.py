"""A call of an MCP server, as it is handed over, and an entry of the log, as it is read back."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.sso.model import Caller

MOST_BYTES = 16384
"""Of arguments, as PostgreSQL prints them."""

BOUNDS = {
    "server": 40,
    "method": 40,
    "target": 400,
    "subject": 200,
    "name": 254,
    "client": 200,
    "issuer": 400,
    "session": 200,
    "outcome": 10,
    "error": 2000,
}
"""Characters that the table has room for."""

CANNOT = '{"…": "arguments that cannot be written down"}'
_POWER = re.compile(r"\de[+-]\d")  # jsonb prints 1e300 with all its digits


@dataclass(frozen=True, slots=True)
class Call:
    """What happened: who asked which server for what, and what became of it."""

    server: str
    method: str
    """``tools/call``, ``resources/read`` or ``prompts/get``."""
    target: str
    """The tool, the prompt, or the address of the resource."""
    caller: Caller
    arguments: Mapping[str, Any]
    """As JSON has them, secrets masked already."""
    outcome: str
    """``begun``, ``ok``, ``error`` or ``refused``."""
    rows: int | None
    milliseconds: float
    answer_sha256: str | None
    """Of the answer as it was sent, in hexadecimal."""
    error: str | None
    """What the caller was told instead of an answer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the log, each field but the number as the text that its hash is taken of: see ``80_ai_log.sql``."""

    previous_hash: str
    number: int
    happened_at: str
    written_by: str
    server: str
    method: str
    target: str
    subject: str
    name: str
    client: str
    issuer: str | None
    session: str | None
    arguments: str
    outcome: str
    rows: str | None
    milliseconds: str
    answer_sha256: str | None
    error: str | None
    hash: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """The end of the log at a moment, as it is written down outside the database."""

    number: int
    hash: str
    happened_at: str
    """When that entry was written."""


def written(call: Call) -> tuple[Any, ...]:
    """A call as ``ai_log_append`` takes it. Never fails: what is too long is cut, what no text can hold replaced."""
    texts = {
        "server": call.server,
        "method": call.method,
        "target": call.target,
        "subject": call.caller.subject,
        "name": call.caller.name,
        "client": call.caller.client,
        "issuer": call.caller.issuer,
        "session": call.caller.session,
        "outcome": call.outcome,
        "error": call.error,
    }
    bounded = {name: _bounded(text, BOUNDS[name]) for name, text in texts.items()}
    milliseconds = call.milliseconds if math.isfinite(call.milliseconds) else 0.0
    return (
        *(bounded[name] for name in ("server", "method", "target", "subject", "name", "client", "issuer", "session")),
        arguments_text(call.arguments),
        bounded["outcome"],
        call.rows,
        f"{min(max(milliseconds, 0.0), 999_999_999.0):.3f}",
        None if call.answer_sha256 is None else bytes.fromhex(call.answer_sha256),
        bounded["error"],
    )


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """Arguments as JSON that PostgreSQL takes; of what is too large, its size and SHA-256 only.

    >>> arguments_text({"day": "a" + chr(0), "share": float("nan")})
    '{"day": "a�", "share": "nan"}'
    """
    try:
        text = json.dumps(_plain(arguments), ensure_ascii=False)
    except (ValueError, RecursionError):  # a number of more digits than Python prints; nested without end
        return CANNOT
    if len(text.encode()) + 330 * len(_POWER.findall(text)) > MOST_BYTES:
        digest = hashlib.sha256(text.encode()).hexdigest()
        return json.dumps({"…": f"{len(text.encode())} bytes, SHA-256 {digest}"}, ensure_ascii=False)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _text(str(value))


def _text(text: str) -> str:
    """Without NUL and halves of surrogate pairs, which no text of PostgreSQL holds."""
    return "".join("\ufffd" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)


def _bounded(text: str | None, most: int) -> str | None:
    if text is None:
        return None
    text = _text(text)
    return text if len(text) <= most else text[: most - 1] + "…"
