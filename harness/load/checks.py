"""What must be so after a load: which errors may have ended requests, what the databases must hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.engines import engine
from harness.engines.base import SessionOptions, Statement
from harness.errors import EngineError
from harness.load.result import LoadResult
from harness.load.written import CheckWritten, LoadExpect, LoadWritten
from harness.scenario.problems import unknown
from harness.servers.base import Target
from harness.vocabulary import LEVELS


def ask(check: CheckWritten, target: Target, run: str) -> Any:
    """What a check's statement gives now: its first row's first column, None if there is no row. Raises EngineError, …"""
    bodies = check.bodies()
    body = bodies.get(target.engine, bodies.get("*"))
    if body is None:
        return None
    session = engine(target.engine).open(target.url, SessionOptions(f"psh:{run}/check", LEVELS[target.engine][0]))
    try:
        outcome = session.run(Statement(body))
    finally:
        session.close()
    if outcome.error:
        raise EngineError(f"the check {check.title!r} on {target.label}: {outcome.error.code} {outcome.error.message}")
    rows = outcome.results[-1].rows if outcome.results else []
    return rows[0][0] if rows and rows[0] else None


def applies(check: CheckWritten, target: Target) -> bool:
    """Whether a check has something to ask of this engine."""
    bodies = check.bodies()
    return bodies.get(target.engine, bodies.get("*")) is not None


def broken(check: CheckWritten, label: str, before: Any, after: Any) -> str:
    """What to say if a check does not hold; empty if it does."""
    wanted = before if check.unchanged else check.equals
    if after == wanted:
        return ""
    was = "before the run it was" if check.unchanged else "expected"
    return f"{check.title} ({label}): it is {after}, {was} {wanted}"


def mismatches(written: LoadWritten, result: LoadResult, targets: Mapping[str, Target]) -> Iterator[str]:
    """What of the expectation is not so."""
    if not any(one.done for one in result.requests):
        yield "not one request ended well"
    labels = {target.label: target.engine for target in targets.values()}
    for name in dict.fromkeys(labels.values()):
        on_it = [one for one in result.requests if labels.get(one.database) == name]
        yield from _of_engine(name, written.expect.get(name, LoadExpect()), on_it)


def _of_engine(name: str, expect: LoadExpect, requests: Sequence[Any]) -> Iterator[str]:
    seen: set[str] = set()
    for one in requests:
        seen |= {_kind(word) for word in (*one.failed, *one.retried)}
        for word, count in one.failed.items():
            if _kind(word) not in expect.errors:
                allowed = f"only {', '.join(expect.errors)}" if expect.errors else "nothing"
                yield f"{one.name} ({one.database}): {count} ended with {word!r}; {allowed} may end a request"
    for kind in expect.sees:
        if kind not in seen:
            yield f"{name}: no {kind} was seen, and there should have been one"
    known = {one.name for one in requests}
    for wanted in expect.done:
        if wanted not in known:
            yield unknown("request", wanted, known, f"expect.{name}.done")
        elif not any(one.done for one in requests if one.name == wanted):
            yield f"{name}: {wanted!r} did not end well once"


def _kind(word: str) -> str:
    """The kind of an error as it was counted: ``other 42P01`` is ``other``."""
    return "other" if word.startswith("other") else word
