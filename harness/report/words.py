"""Short words for what happened: values, results, errors, places. The same in the pictures, the page and the terminal."""

from __future__ import annotations

import json
import re
from typing import Any

from harness.evidence.model import Anomaly, Deadlock, Detector
from harness.history import DatabaseRecord, Event, EventKind, History, Wait, WaitPicture
from harness.report.reading import Look, StepRun, look
from harness.vocabulary import PRODUCTS

# What neither XML nor a terminal may get from a server: an escape sequence in a value would paint the report.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """``text`` without control characters, which show as �; tabs and line breaks stay.

    >>> clean("a\\x1b[31mb")
    'a�[31mb'
    """
    return text if text.isprintable() else _CONTROL.sub("\ufffd", text)


def one_line(text: str) -> str:
    """``text`` on one line, runs of white space as one blank."""
    return " ".join(clean(text).split())


def value(thing: Any) -> str:
    """A value as a reader of SQL expects it.

    >>> value(None), value(True), value("Ada"), value({"a": 1})
    ('NULL', 'true', "'Ada'", '{"a": 1}')
    """
    if thing is None:
        return "NULL"
    if isinstance(thing, bool):
        return "true" if thing else "false"
    if isinstance(thing, str):
        return "'" + one_line(thing) + "'"
    if isinstance(thing, dict | list):
        return one_line(json.dumps(thing, ensure_ascii=False, default=str))
    return one_line(str(thing))


def counted(number: int, thing: str) -> str:
    """``1 case``, ``3 cases``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def permutations(number: int, specifications: int) -> str:
    """``736 permutations of 40 specifications``."""
    return f"{counted(number, 'permutation')} of {counted(specifications, 'specification')}"


def milliseconds(seconds: float) -> str:
    """``1.4``, ``131``, ``5,003``: as many digits as one reads."""
    ms = seconds * 1000
    return f"{ms:.1f}" if ms < 100 else f"{ms:,.0f}"


def elapsed(seconds: float) -> str:
    """A duration with its unit: ``1.4 ms``, ``131 ms``, ``5.0 s``."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{milliseconds(seconds)} ms"


def exact(seconds: float) -> str:
    """A time of which small differences matter, of clocks and ways: ``45 µs``, ``1.4 ms``, ``5.003 s``."""
    if seconds < 0.0001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds:,.3f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def clock(offset: float, error: float) -> str:
    """How far another clock is ahead of ours, give or take: ``+5.003 s ± 0.1 ms``, ``-1.4 ms ± 45 µs``."""
    return f"{'-' if round(offset, 6) < 0 else '+'}{exact(abs(offset))} ± {exact(error)}"


def statement(event: Event) -> str:
    """A statement on one line, and what was bound to it."""
    text = one_line(event.statement)
    if event.parameters:
        text += f"  [{', '.join(value(parameter) for parameter in event.parameters)}]"
    return text


def effect(event: Event) -> str:
    """What an ending gave: the declared reads and writes, else the rows, else the command tag.

    ``r(budget)=100``, ``→ (1, 'Ada'), (2, NULL)``, ``UPDATE 1``.
    """
    if event.operations:
        return "  ".join(one_line(str(operation)) for operation in event.operations)
    said = [result for result in event.results if result.rows or result.columns or result.status]
    if not said:
        return ""
    last = said[-1]
    if not last.columns and not last.rows:
        return one_line(last.status)
    if not last.rows:
        return "→ no rows"
    shown = [
        value(row[0]) if len(row) == 1 else "(" + ", ".join(value(cell) for cell in row) + ")" for row in last.rows[:3]
    ]
    more = f" … {len(last.rows)} rows" if len(last.rows) > 3 else ""
    return "→ " + ", ".join(shown) + more


def given(event: Event, run: StepRun, *, code: bool = True) -> str:
    """What an ending says beside its statement: why it is not ok, else its effect; nothing if that is BEGIN for BEGIN."""
    said = trouble(event, code=code) or effect(event)
    return "" if said.casefold() == one_line(run.start.statement).rstrip(";").casefold() else said


def asked(run: StepRun) -> str:
    """The step's statement; nothing if the step is called what its statement says."""
    said = statement(run.start)
    return "" if said.casefold() == run.label.casefold() else said


def trouble(event: Event, *, code: bool = True) -> str:
    """Why an ending is not ok, in a few words: ``40P01 deadlock detected``; empty if it is."""
    if event.kind is EventKind.timeout:
        return one_line(event.text) or "deadline passed, cancelled"
    if event.kind is EventKind.cancelled:
        return one_line(event.text) or "cancelled by the harness"
    if event.error:
        return one_line(f"{event.error.code if code else ''} {event.error.message}")
    if event.kind is EventKind.conflict:
        return one_line(event.text) or "refused at once"
    return ""


def ending(event: Event, run: StepRun, victim: bool = False) -> str:
    """The head of an ending that comes later than its start: ``ok after 131 ms``, ``VICTIM 40P01 after 1.0 s``."""
    how = look(event)
    word = how.value
    if victim or how is Look.victim:
        word = "VICTIM" if how in (Look.victim, Look.error) else f"VICTIM, {word}"
    code = f" {event.error.code}" if event.error and event.error.code else ""
    seconds = event.seconds if event.seconds is not None else event.at - run.start.at
    return one_line(f"{word}{code} after {elapsed(seconds)}")


def who(name: str) -> str:
    """A session as a reader knows it; ``?5151`` is none of this run.

    >>> who("T1"), who("?5151")
    ('T1', 'foreign session 5151')
    """
    return one_line("foreign session " + name[1:] if name.startswith("?") else name)


def waits_for(names: list[str]) -> str:
    """``waits for T1, T2``; of many, how many."""
    names = [who(name) for name in names]
    if len(names) > 4:
        return f"waits for {', '.join(names[:3])} and {len(names) - 3} more"
    return "waits for " + (", ".join(names) or "another session")


def waits(event: Event) -> str:
    """Why a step goes on later: who is in its way, or the schedule; nothing for any other event."""
    if event.kind is EventKind.blocked:
        return waits_for(event.waits_for)
    return "held back by the schedule" if event.kind is EventKind.held else ""


def remark(event: Event) -> str:
    """What an event says that is neither a step's beginning nor its end, on one line."""
    if event.kind is EventKind.overdue:
        since = "" if event.seconds is None else f" after {elapsed(event.seconds)}"
        return f"overdue{since}: the server is asked to cancel it"
    return one_line(event.text)


def resource(wait: Wait) -> str:
    """What an edge of the wait-for graph is about: ``ShareLock on transaction 742``."""
    asked = wait.asked + (f" against {wait.held}" if wait.held else "")
    return one_line(" on ".join(part for part in (asked, wait.resource) if part)) or "a lock"


def cycle(names: list[str]) -> str:
    """``T1 → T2 → T1``; a long one is cut in the middle, for its ends say how it goes on."""
    if len(names) > 10:
        return " → ".join([*names[:5], f"… {len(names) - 8} more …", *names[-3:], names[0]])
    return " → ".join([*names, *names[:1]])


def stands_for(database: DatabaseRecord) -> str:
    """The product that a stand-in stands in for, by its own name; empty for the real thing."""
    return PRODUCTS.get(database.stand_in, database.stand_in)


def place(database: DatabaseRecord) -> str:
    """A database and the engine it really is: ``promptads@postgresql-standin``."""
    stand_in = "-standin" if database.stand_in and not database.engine.endswith("-standin") else ""
    return f"{database.logical}@{database.engine}{stand_in}"


def where(database: DatabaseRecord, *, stand_in: bool = True) -> str:
    """The same with product, version and server, and (unless said elsewhere) what it stands in for."""
    text = f"{place(database)}, {database.product} {database.version} at {database.server}"
    if stand_in and database.stand_in:
        text += f" (stand-in for {stands_for(database)})"
    return one_line(text)


def places(history: History) -> list[str]:
    """Where a case ran, a line per database; each under the name that the scenario uses if there are several."""
    if len(history.databases) == 1:
        return [where(history.databases[0])]
    return [f"{database.alias}: {where(database)}" for database in history.databases]


def logical_of(history: History, alias: str) -> str:
    """The logical database that an alias means in this case: ``promptsales``."""
    return next((d.logical for d in history.databases if d.alias == alias), alias)


def observed_levels(history: History, alias: str) -> dict[str, list[str]]:
    """The isolation levels that a database's server really gave, each with the sessions that had it."""
    observed: dict[str, list[str]] = {}
    for session in history.sessions:
        if alias in session.observed_levels:
            observed.setdefault(session.observed_levels[alias], []).append(session.name)
    return observed


def other_levels(history: History) -> list[str]:
    """Levels that sessions had on the case's first database without being asked for."""
    first = history.databases[0].alias if history.databases else ""
    return [level for level in observed_levels(history, first) if level != history.level]


def levels(history: History) -> str:
    """The isolation level that was asked for, and what the sessions really had, on each database."""
    said = []
    for i, database in enumerate(history.databases):
        observed = observed_levels(history, database.alias)
        if i == 0 and list(observed) == [history.level]:
            text = "observed on every session"
        else:
            text = "; ".join(f"{level} ({', '.join(on)})" for level, on in observed.items())
            text = f"observed {text}" if observed else "not observed"
        said.append(f"{database.alias}: {text}" if i else f"asked {history.level}, {text}")
        if i and list(observed) == [history.level]:
            said.pop()  # the same as the first one's
    return "; ".join(said) or f"asked {history.level}, not observed"


def server_of(history: History, alias: str) -> str:
    """The server that a database alias lies on; the alias itself if nobody recorded it."""
    return next((d.server for d in history.databases if d.alias == alias), alias)


def servers(history: History) -> dict[str, str]:
    """Every server of the case, in order, with the databases on it: ``localhost:5432`` → ``promptsales@postgresql``."""
    on: dict[str, list[str]] = {}
    for database in history.databases:
        on.setdefault(database.server, []).append(place(database))
    return {server: ", ".join(dict.fromkeys(places)) for server, places in on.items()}


def anomaly_title(anomaly: Anomaly) -> str:
    """``lost update (P4), T1 and T2``."""
    code = f" ({anomaly.adya})" if anomaly.adya else ""
    return one_line(f"{anomaly.phenomenon.value}{code}, {' and '.join(anomaly.sessions)}")


def deadlock_title(deadlock: Deadlock) -> str:
    """``deadlock: T1 → T2 → T1``, ``hidden deadlock: …``, or ``ring of waits: …`` if no server called it one."""
    kind = deadlock.phenomenon.value if deadlock.phenomenon else "ring of waits"
    return f"{kind}: {cycle(deadlock.cycle)}" if deadlock.cycle else f"{kind}, its cycle not seen"


def deadlock_end(deadlock: Deadlock) -> str:
    """Who ended a deadlock, with whom as victim."""
    by = {
        Detector.server: "the server's own detector ended it",
        Detector.harness: "no server could see it; the harness ended it",
        Detector.nobody: "nobody ended it"
        if deadlock.phenomenon
        else "no victim's error came from the server: no deadlock is found",
    }[deadlock.ended_by]
    if not deadlock.victim:
        return by
    step = f" in {deadlock.victim_step}" if deadlock.victim_step else ""
    return one_line(f"{by}, victim {deadlock.victim}{step}{f' ({deadlock.code})' if deadlock.code else ''}")


def picture_title(picture: WaitPicture) -> str:
    """When a wait picture was taken, and why."""
    return one_line(f"at {milliseconds(picture.at)} ms: {picture.reason}")


def schedule(history: History) -> str:
    """A case's schedule: ``random-07, seed 3 (scheduled)``; of one that a worker ran elsewhere, on which machine."""
    seed = "" if history.seed is None else f", seed {history.seed}"
    where = f", all on {history.controller}" if history.controller and not history.hosts else ""
    return f"{history.schedule}{seed} ({history.mode}){where}"
