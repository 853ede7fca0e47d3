"""A call's arguments: refused if they are none, and what the log may have of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.errors import ToolRefused, did_you_mean

MASKED = "[masked]"
MOST_ARGUMENTS = 8 * 1024
"""Characters of a call's arguments, as JSON."""
_LOGGED = 200  # characters of one text in the log


def check_texts(arguments: Any) -> None:
    """Raises ToolRefused: too much, or text that no database takes."""
    try:
        written = json.dumps(arguments, ensure_ascii=False, default=str)
    except RecursionError:
        raise ToolRefused("the arguments are nested too deeply") from None
    if len(written) > MOST_ARGUMENTS:
        raise ToolRefused(f"the arguments have more than {MOST_ARGUMENTS} characters")
    if "\\u0000" in written or any("\ud800" <= letter <= "\udfff" for letter in written):
        raise ToolRefused("the arguments hold a NUL or half a character, which no text here has")


def check_arguments(model: type[BaseModel], arguments: Mapping[str, Any]) -> None:
    """Raises ToolRefused that names each argument that is wrong and why, without its value."""
    known = {field.alias or name for name, field in model.model_fields.items()}
    wrong = [
        f"{name!r:.60}: there is no such argument{did_you_mean(name[:60], known).removesuffix('?')}"
        for name in arguments
        if name not in known
    ]
    try:
        model.model_validate(arguments)
    except ValidationError as error:
        wrong += [
            f"{'.'.join(map(str, one['loc']))}: {_why(one['type'], one['msg'])}"
            for one in error.errors(include_input=False, include_context=False, include_url=False)
        ]
    if wrong:
        raise ToolRefused(f"{'; '.join(wrong[:5])} (arguments: {', '.join(sorted(known)) or 'none'})")


def _why(kind: str, message: str) -> str:
    """What is wrong with a value, of pydantic's error; of a day, what would be right."""
    if kind.startswith("date_"):
        return "input should be a day, written 2026-01-31"
    return f"{message[0].lower()}{message[1:]}"


def loggable(arguments: Mapping[str, Any], secrets: frozenset[str]) -> dict[str, Any]:
    """Arguments for the log: secrets masked, everything cut to size."""
    masked = {_cut(name): MASKED if name in secrets else _short(value) for name, value in list(arguments.items())[:20]}
    return masked if len(json.dumps(masked, default=str)) <= MOST_ARGUMENTS else {"": "[too much to be logged]"}


def _short(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, dict | list) and depth > 3:
        return "[…]"
    if isinstance(value, dict):
        return {_cut(str(name)): _short(one, depth + 1) for name, one in list(value.items())[:20]}
    if isinstance(value, list):
        return [_short(one, depth + 1) for one in value[:20]]
    return value if isinstance(value, bool | float | None) or abs(value) < 2**63 else _cut(str(value))


def _cut(text: str) -> str:
    """Without what JSON in PostgreSQL does not take, and not longer than a log needs."""
    clean = text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
    return clean if len(clean) <= _LOGGED else f"{clean[:_LOGGED]}… ({len(clean)} characters)"
