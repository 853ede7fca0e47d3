"""A case in two sentences: who did what, and what the server gave. Made from history and verdict; nothing is judged here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from harness.answers import TransactionEnd
from harness.evidence.model import Deadlock, Detector, Evidence
from harness.history import ENDINGS, Event, EventKind, History, Phase, RunEnd
from harness.report import words
from harness.report.reading import Look, StepRun, found, look, sessions, step_runs

_FEW = 4  # sessions or items that are named one by one

_DID = (
    (re.compile(r"\bupdate\s+(?:only\s+)?([\w.\"]+)", re.I), "updated"),
    (re.compile(r"\binsert\s+into\s+([\w.\"]+)", re.I), "inserted into"),
    (re.compile(r"\bdelete\s+from\s+([\w.\"]+)", re.I), "deleted from"),
    (re.compile(r"\block\s+table\s+([\w.\"]+)", re.I), "locked"),
    (re.compile(r"\bselect\b.*?\bfrom\s+([\w.\"]+)", re.I | re.S), "read"),
)


def story(evidence: Evidence) -> str:
    """Two sentences about a case."""
    runs = step_runs(evidence.history)
    return f"{_who_did_what(evidence.history, runs)} {_what_was_given(evidence, runs)}"


def listed(names: Iterable[str], most: int = _FEW) -> str:
    """``T1``, ``T1 and T2``, ``T1, T2 and 30 more``.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], 2)
    ('a, b and c', 'a, b and 1 more')
    """
    all_of_them = [words.who(name) for name in names]
    if len(all_of_them) > most:
        return f"{', '.join(all_of_them[:most])} and {len(all_of_them) - most} more"
    if len(all_of_them) < 2:
        return "".join(all_of_them)
    return f"{', '.join(all_of_them[:-1])} and {all_of_them[-1]}"


def _who_did_what(history: History, runs: dict[int, StepRun]) -> str:
    names = sessions(history)
    doings = {name: _doing(history, name, runs) for name in names}
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(doings[name], []).append(name)
    if len(groups) > 3:
        said = f"{words.counted(len(names), 'session')} ({listed(names)}) ran {_steps(history)}"
    else:
        said = "; ".join(
            f"{listed(who)}{' each' if len(who) > 1 and what else ''} {what or 'did nothing'}"
            for what, who in groups.items()
        )
    where = listed(dict.fromkeys(words.place(database) for database in history.databases))
    at = f" at {history.level}" if history.level and history.level != "default" else ""
    return words.one_line(f"{said or 'Nothing ran'},{at} on {where}.".replace(", on", " on"))


def _steps(history: History) -> str:
    return words.counted(sum(event.kind is EventKind.start for event in history.events), "step")


def _doing(history: History, name: str, runs: dict[int, StepRun]) -> str:
    """What a session did: ``read and wrote budget``; by its statements, where no item is declared."""
    ends = [
        event
        for event in history.events
        if event.session == name and event.phase is Phase.schedule and event.kind in ENDINGS
    ]
    did: dict[str, list[str]] = {}
    for event in ends:
        for operation in event.operations:
            did.setdefault(operation.item, []).append("read" if operation.action == "r" else "wrote")
    if did:
        verbs: dict[str, list[str]] = {}
        for item, actions in did.items():
            verbs.setdefault(" and ".join(dict.fromkeys(actions)), []).append(words.one_line(item))
        return ", ".join(f"{verb} {listed(items, 3)}" for verb, items in list(verbs.items())[:3])
    return _by_statements(runs[event.seq].start.statement for event in ends)


def _by_statements(statements: Iterable[str]) -> str:
    did: dict[str, list[str]] = {}
    count = 0
    for statement in statements:
        count += 1
        for pattern, verb in _DID:
            if match := pattern.search(statement):
                did.setdefault(verb, []).append(match[1].strip('"'))
                break
    if not did:
        return f"ran {words.counted(count, 'step')}" if count else ""
    return " and ".join(f"{verb} {listed(dict.fromkeys(tables), 3)}" for verb, tables in list(did.items())[:3])


def _what_was_given(evidence: Evidence, runs: dict[int, StepRun]) -> str:
    history, verdict = evidence.history, evidence.verdict
    if history.end is not RunEnd.completed:
        return words.one_line(f"It ended early ({history.end.value}): {history.end_text or 'nobody says why'}.")
    said = []
    if verdict.deadlocks:
        said.append(_deadlock(verdict.deadlocks[0]))
    names = [name for name in found(evidence) if "deadlock" not in name]
    if names:
        who = listed(dict.fromkeys(name for one in verdict.anomalies for name in one.sessions))
        said.append(f"the server let {who} through to a {listed(names, 3)}")
    if not said:
        said = [*_refused(history), *_waited(runs)]
    said.append(_ended(history))
    text = "; ".join(part for part in said if part)
    if not names and not verdict.deadlocks:
        text += ": no anomaly was found" if text else "No anomaly was found"
    # A session's name keeps its letters: only our own words begin with a capital.
    begins = text.startswith(("the ", "no ", "both ", "all "))
    return words.one_line((text[:1].upper() + text[1:] if begins else text) + ".")


def _deadlock(one: Deadlock) -> str:
    ring = f"the ring {words.cycle(one.cycle)}" if one.cycle else "a ring of waits"
    code = f" ({one.code})" if one.code else ""
    if one.ended_by is Detector.server:
        return f"the server saw {ring} and ended {one.victim or 'one of them'}{code}"
    if one.ended_by is Detector.harness:
        return f"no server could see {ring}, so the harness ended {one.victim or 'one of them'}{code}"
    return f"{ring} closed and nobody ended it"


def _refused(history: History) -> list[str]:
    """Who was refused, and with what code."""
    refused: dict[str, list[str]] = {}
    told: set[str] = set()
    for event in history.events:
        # What fails after it fails because of it: each session's first counts.
        if event.kind in ENDINGS and look(event) in (Look.error, Look.conflict) and event.session not in told:
            told.add(event.session)
            refused.setdefault(_code(event), []).append(event.session)
    return [
        f"the server refused {listed(dict.fromkeys(who))}{f' ({code})' if code else ''}"
        for code, who in list(refused.items())[:2]
    ]


def _code(event: Event) -> str:
    return event.error.code if event.error else words.trouble(event).partition(" ")[0]


def _waited(runs: dict[int, StepRun]) -> list[str]:
    """The longest wait of all."""
    waits = [run for run in {id(run): run for run in runs.values()}.values() if run.blocked and run.end]
    if not waits:
        return []
    longest = max(waits, key=lambda run: (run.end or run.start).at - run.blocked[0].at)
    seconds = (longest.end or longest.start).at - longest.blocked[0].at
    more = f", the longest of {len(waits)} waits" if len(waits) > 1 else ""
    return [f"{words.who(longest.session)} waited {words.elapsed(seconds)} for {listed(longest.waits_for)}{more}"]


def _ended(history: History) -> str:
    """How transactions ended, by session: ``T1 committed, T2 rolled back``."""
    if history.transactions:
        return listed([f"{number} {kind}" for kind, number in history.transactions.items()])
    last: dict[str, TransactionEnd] = {}
    for event in history.events:
        if event.ended:
            last[event.session] = event.ended
    counts = Counter(last.values())
    if counts[TransactionEnd.committed] == len(last) > 1:
        return "both committed" if len(last) == 2 else f"all {len(last)} committed"
    said = []
    for end, word in ((TransactionEnd.committed, "committed"), (TransactionEnd.aborted, "rolled back")):
        who = [name for name, how in last.items() if how is end]
        said += [f"{listed(who)} {word}"] if who else []
    return ", ".join(said)
