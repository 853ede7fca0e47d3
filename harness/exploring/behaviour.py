"""What a run showed, without what differs from run to run although the same happened.

Server processes' numbers, times, pictures of waits and the order in which a server happens to give rows are left out; how
each step ended, with which error, what it read, what was there at the end and which phenomena were found are not. Which of
two sessions was the victim of a deadlock therefore counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from harness.errors import ScenarioError
from harness.evidence.model import Evidence, Verdict
from harness.exploring.model import Difference
from harness.history import ENDINGS, Event, EventKind, RunEnd
from harness.scenario.expressions import Expression
from harness.scenario.model import Expectation

AT_THE_END = " at the end"
"""How the fact of an item is called: ``budget at the end``."""

FOUND = "found"
"""The fact of which phenomena were found."""


def facts(evidence: Evidence) -> dict[str, str]:
    """What happened, fact by fact, in an order that does not depend on the schedule."""
    history, made = evidence.history, {}
    endings = [event for event in history.events if event.kind in ENDINGS or event.kind is EventKind.skipped]
    for event in sorted(endings, key=lambda one: (one.session, one.step, one.attempt)):
        name = event.step if event.attempt == 1 else f"{event.step} (attempt {event.attempt})"
        made[f"{event.session}: {name}"] = _ending(event)
    for item, value in sorted(history.final.items()):
        made[f"{item}{AT_THE_END}"] = _plain(value)
    made[FOUND] = ", ".join(sorted(one.value for one in evidence.verdict.phenomena)) or "nothing"
    if history.end is not RunEnd.completed:
        made["the run"] = history.end.value
    return made


def _ending(event: Event) -> str:
    if event.error is not None:
        return f"{event.error.kind.value} ({event.error.code})" if event.error.code else event.error.kind.value
    if event.kind is not EventKind.ok:
        return event.kind.value
    said = []
    for result in event.results:
        if result.columns or result.rows:
            said.append(" ".join(sorted(_plain(row) for row in result.rows)) or "no rows")
        elif result.affected is not None:
            said.append(f"{result.affected} affected")
    return "; ".join(said) or "ok"


def _plain(value: object) -> str:
    if isinstance(value, list) and len(value) == 1:
        return _plain(value[0])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)


def fingerprint(of: Mapping[str, str]) -> str:
    """The same for runs in which the same happened, and short.

    >>> fingerprint({"x at the end": "1"}) == fingerprint({"x at the end": "1"})
    True
    """
    return hashlib.sha256(json.dumps(sorted(of.items())).encode()).hexdigest()[:12]


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    """The facts that two runs do not share."""
    return [
        Difference(fact=name, first=first.get(name, "–"), second=second.get(name, "–"))
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def telling(every: Sequence[Mapping[str, str]]) -> list[str]:
    """The facts in which some of these runs differ: they are what tells one outcome from another."""
    names = dict.fromkeys(name for one in every for name in one)
    return [name for name in names if len({one.get(name) for one in every}) > 1]


# -- what kind of failure it is

_KINDS = (
    (r"expected (?P<what>\S+) to be .* at the end", "final {what}"),
    (r"expected (?P<what>\S+) to see ", "sees {what}"),
    (r"expected (?P<what>\S+) to end with ", "ending of {what}"),
    (r"\S+ ended with (?P<what>[a-z ]+) \(", "refused: {what}"),
    (r"expected (?P<what>\S+) as victim", "victim"),
    (r"expected (?P<what>\S+) to block|(?P<other>\S+) blocked, which", "blocks"),
    (r"expected (?P<what>.+), found ", "lacks {what}"),
    (r"found (?P<what>.+), which was not expected", "found {what}"),
    (r"the server gives ", "level"),
)
STRONG = ("found ", "holds ")
"""How the kinds of failure begin that say what is wrong with the data; the others may only follow from it."""


def signature(evidence: Evidence, expectation: Expectation) -> tuple[str, ...]:
    """The kinds of failure that a verdict tells of, the strongest first; empty if it passed."""
    return tuple(sorted(dict.fromkeys(_kinds(evidence, expectation)), key=lambda one: not one.startswith(STRONG)))


def _kinds(evidence: Evidence, expectation: Expectation) -> Iterator[str]:
    verdict: Verdict = evidence.verdict
    if verdict.mismatches and evidence.history.end is not RunEnd.completed:
        yield f"the run {evidence.history.end.value}"
    known = [part for text in expectation.holds for part in invariants(text)]
    for one in verdict.mismatches:
        if broken := next((text for text in known if one.startswith(f"{text}: ")), ""):
            yield f"holds {broken}"
            continue
        for pattern, said in _KINDS:
            if found := re.match(pattern, one, re.S):
                yield said.format(what=found.groupdict().get("what"))
                break
        else:
            yield " ".join(one.split()[:6])


def invariants(text: str) -> list[str]:
    """The parts of an invariant, as a broken one is called; the whole, if it is no expression."""
    try:
        return [*(part.source for part in Expression(text).conjuncts()), text]
    except ScenarioError:
        return [text]
