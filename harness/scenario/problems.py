"""Words for what is wrong with a file: pydantic's findings and unknown names, told for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from harness.errors import Location, ScenarioError, did_you_mean
from harness.scenario.source import Keys, Source

MOST_NAMED = 20
"""A message lists this many known names at most."""

_MUST_BE = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def unknown(what: str, name: str, known: Iterable[str], where: str = "") -> str:
    """What to say of a name that is not there.

    >>> unknown("step", "comit", ["begin", "commit"], "the schedule")
    "unknown step 'comit' in the schedule, did you mean 'commit'? (known: begin, commit)"
    """
    names = list(known)
    shown = ", ".join(names[:MOST_NAMED]) or "none"
    if len(names) > MOST_NAMED:
        shown += f", … {len(names) - MOST_NAMED} more"
    place = f" in {where}" if where else ""
    return f"unknown {what} {name!r}{place}{did_you_mean(name, names)} (known: {shown})"


def shown(value: Any) -> str:
    """A value of the file, as a message names it.

    >>> shown("x"), shown(None), shown(True), shown([1])
    ("'x'", 'nothing', 'true', 'a list')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def error_of(source: Source, invalid: ValidationError) -> ScenarioError:
    """All problems, a line each; the error's own place is that of the first."""
    found: dict[tuple[Location, str], None] = {}
    for problem in invalid.errors():
        path = _path_in(source, problem["loc"])
        wrong_key = [problem["ctx"]["key"]] if problem["type"] == "unknown_key" else []
        found[source.locate((*path, *wrong_key)), _in_words(problem, path)] = None
    (place, text), *others = found
    return ScenarioError(text + "".join(f"\n{where}: {what}" for where, what in others), place)


def _path_in(source: Source, loc: tuple[str | int, ...]) -> Keys:
    """The part of pydantic's location that exists in the file: it also names widened forms and members of unions."""
    path: Keys = ()
    for part in loc:
        if (*path, part) in source.places:
            path = (*path, part)
    return path


def _in_words(problem: Any, path: Keys) -> str:
    kind, message, given = problem["type"], str(problem["msg"]), problem["input"]
    where = ".".join(map(str, path)) or "the scenario"
    if kind == "unknown_key":
        return message
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind == "missing":
        return f"{where} lacks {str(problem['loc'][-1])!r}"
    if kind in _MUST_BE:
        return f"{where} must be {_MUST_BE[kind]}, not {shown(given)}"
    if kind in ("string_too_short", "too_short"):
        return f"{where} is empty"
    return f"{where} {message.replace('Input should', 'must', 1)}, not {shown(given)}"
