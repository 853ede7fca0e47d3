"""A deadlock in words: who held what and waited for whom, which statement closed the ring, who was ended, and by what rule.

All of it is read off the evidence; the rules of the engines and the advice are general, and are told as such. Sources:
PostgreSQL, *Lock Management* (``deadlock_timeout``) and *Explicit Locking: Deadlocks*; SQL Server, *Deadlocks guide*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from harness.evidence.model import Deadlock, Detector, Evidence
from harness.history import ENDINGS, Event, EventKind, History, Wait
from harness.mcp.harness_runs import CaseLine, RunFiles
from harness.mcp.harness_scenarios import cut
from harness.mcp.model import Answer
from harness.report import words
from harness.report.reading import StepRun, step_runs
from harness.scenario.model import Scenario

MOST_REPORT = 4_000
MOST_STATEMENT = 600
_MANY = 40  # edges of a ring that are told one by one
_STATEMENTS = 6  # of a holder's transaction

RULES = {
    "postgresql": (
        "PostgreSQL's rule: a session that has waited for its deadlock_timeout looks for a ring, and ends its own statement "
        "if it finds itself in one. The victim is whoever looks first after the ring has closed; cost plays no part."
    ),
    "sqlserver": (
        "SQL Server's rule: its deadlock monitor ends the session of the lowest DEADLOCK_PRIORITY; of equal ones "
        "the one whose transaction is cheapest to roll back."
    ),
}


class EdgeTold(Answer):
    """One session's wait, as the server told it."""

    waiter: str
    step: str
    statement: str
    holder: str = Field(description="Whom it waited for")
    resource: str = Field(description="Lock and object in the server's words")
    database: str
    holder_had_run: list[str] = Field(description="What the holder had finished in its open transaction there by then")
    closes: bool = Field(description="The last of the ring's waits to begin: it closed the ring")


class Explanation(Answer):
    """A deadlock explained; ``kind`` none: there is no deadlock, and the text says so."""

    kind: Literal["deadlock", "hidden deadlock", "ring of waits", "none"]
    text: str = Field(description="All of it, to be read by a person")
    run_id: str = ""
    case_id: str = ""
    databases: list[str] = []
    level: str = ""
    cycle: list[str] = Field(
        default=[], description="The ring: each session waits for the next, the last one for the first"
    )
    waits: list[EdgeTold] = []
    closed_by: str = Field(default="", description="The step that closed the ring; empty if the evidence does not tell")
    victim: str = ""
    victim_step: str = ""
    code: str = Field(default="", description="The error code that the victim got")
    ended_by: str = Field(default="", description="server, harness, or nobody")
    why: list[str] = Field(default=[], description="Why that one: the engine's rule and what is known of this case")
    afterwards: list[str] = Field(default=[], description="What the sessions of the ring did from then on")
    engine_report: list[str] = Field(default=[], description="The server's own report, cut")
    pids: dict[str, str] = Field(default={}, description="Process numbers in that report, and whose they are")
    avoid: list[str] = []
    others: list[str] = Field(default=[], description="Further deadlocks of this case or run, in short")
    evidence: str = Field(default="", description="URI of the evidence")
    picture: str = Field(default="", description="URI of the wait-for graph, an SVG")


def no_deadlock(run: RunFiles | None, case: CaseLine | None, evidence: Evidence | None) -> Explanation:
    """That there is none, and what there is instead."""
    if run is None:
        return Explanation(kind="none", text="No run that is kept here shows a deadlock.")
    if case is None or evidence is None:
        return Explanation(kind="none", run_id=run.id, text=f"No case of run {run.id} shows a deadlock.")
    waited = dict.fromkeys(event.session for event in evidence.history.events if event.kind is EventKind.blocked)
    said = f"There is no deadlock in {case.id} of run {run.id}: {words.one_line(evidence.verdict.summary)}."
    if waited:
        said += f" {', '.join(map(words.who, waited))} had to wait, but no ring of waits was seen."
    else:
        said += " No session was seen to wait for another one."
    return Explanation(
        kind="none", text=said, run_id=run.id, case_id=case.id, evidence=f"harness://evidence/{run.id}/{case.key}"
    )


def explain(
    run: RunFiles, case: CaseLine, evidence: Evidence, scenario: Scenario | None, others: Sequence[str] = ()
) -> Explanation:
    """The first deadlock of a case. ``scenario``: the case's file as it is now, if it is there; it says who was steered."""
    history, deadlocks = evidence.history, evidence.verdict.deadlocks
    if not deadlocks:
        return no_deadlock(run, case, evidence)
    one = next((each for each in deadlocks if each.phenomenon and each.cycle), deadlocks[0])
    edges = _edges(history, one)
    closing = next((edge for edge in edges if edge.closes), None)
    reports = [cut(words.clean(report.text).rstrip(), MOST_REPORT) for report in one.reports[:3]]
    further = [words.deadlock_title(each) for each in deadlocks if each is not one]
    made = Explanation(
        kind=one.phenomenon.value if one.phenomenon else "ring of waits",  # type: ignore[arg-type]
        text="",
        run_id=run.id,
        case_id=case.id,
        databases=[f"{words.place(each)}, {each.product} {each.version}" for each in history.databases],
        level=history.level,
        cycle=[words.who(name) for name in one.cycle],
        waits=edges,
        closed_by=f"{closing.step} of {closing.waiter}" if closing else "",
        victim=one.victim,
        victim_step=one.victim_step,
        code=one.code,
        ended_by=one.ended_by.value,
        why=list(_why(history, one, scenario)),
        afterwards=[words.one_line(line) for line in one.story[:_MANY]],
        engine_report=reports,
        pids=_pids(history, reports),
        avoid=list(_avoid(history, one)),
        others=[*further, *others][:20],
        evidence=f"harness://evidence/{run.id}/{case.key}",
        picture=f"harness://waits/{run.id}/{case.key}",
    )
    return made.model_copy(update={"text": "\n".join(_text(made, words.one_line(history.title), one))})


def _edges(history: History, one: Deadlock) -> list[EdgeTold]:
    runs = list({id(run): run for run in step_runs(history).values()}.values())
    until = one.picture if one.picture is not None else history.events[-1].seq if history.events else 0
    began = {id(wait): _began(history, wait, until) for wait in one.waits}
    # Where one wait's beginning is not known, the evidence does not say which was the last.
    known = len(one.waits) == len(one.cycle) and all(began.values())
    last = max(one.waits, key=lambda wait: began[id(wait)], default=None) if known else None
    made = []
    for wait in one.waits[:_MANY]:
        asking = next((run for run in reversed(runs) if _is(run, wait) and run.start.seq <= until), None)
        made.append(
            EdgeTold(
                waiter=words.who(wait.waiter),
                step=wait.step,
                statement=cut(words.statement(asking.start), MOST_STATEMENT) if asking else "",
                holder=words.who(wait.holder),
                resource=cut(words.resource(wait), MOST_STATEMENT),
                database=words.logical_of(history, wait.database),
                holder_had_run=_had_run(history, runs, wait, until),
                closes=wait is last,
            )
        )
    return made


def _is(run: StepRun, wait: Wait) -> bool:
    return run.session == wait.waiter and (not wait.step or run.step == wait.step) and run.database == wait.database


def _began(history: History, wait: Wait, until: int) -> int:
    """The number of the event from which on this wait has lasted; 0 if nothing says so."""
    found = 0
    for event in history.events:
        if event.seq > until or event.session != wait.waiter or (wait.step and event.step != wait.step):
            continue
        if event.kind is EventKind.start or event.kind in ENDINGS:
            found = 0
        elif event.kind is EventKind.blocked:
            found = found or event.seq if wait.holder in event.waits_for else 0
    return found


def _had_run(history: History, runs: Sequence[StepRun], wait: Wait, until: int) -> list[str]:
    """What the holder had run in its open transaction on that database, before the ring was seen."""
    ended = [
        event.seq
        for event in history.events
        if event.session == wait.holder and event.database == wait.database and event.ended and event.seq <= until
    ]
    since = max(ended, default=0)
    mine = [
        run
        for run in runs
        if run.session == wait.holder
        and run.database == wait.database
        and run.end is not None
        and since < run.start.seq
        and run.end.seq <= until
        and run.end.in_transaction
        and words.one_line(run.start.statement).rstrip(";").casefold() != "begin"
    ]
    left = len(mine) - _STATEMENTS
    told = [f"{run.label}: {cut(words.statement(run.start), MOST_STATEMENT)}" for run in mine[:_STATEMENTS]]
    return told + ([f"… {left} more"] if left > 0 else [])


def _why(history: History, one: Deadlock, scenario: Scenario | None) -> Iterator[str]:
    ended = next((event for event in history.events if _ends(event, one)), None)
    if one.ended_by is Detector.nobody:
        yield "No victim's error came from a server, and the harness cancelled none of the ring's steps."
        return
    if one.ended_by is Detector.harness:
        yield "The ring goes over several servers, or through the application: no server's detector could see it."
        if ended is not None and ended.text:
            yield words.one_line(ended.text)
        return
    database = next(
        (each for each in history.databases if ended and each.alias == ended.database), history.databases[0]
    )
    after = f" after {words.elapsed(ended.seconds)}" if ended is not None and ended.seconds is not None else ""
    yield f"The server ended {one.victim_step or 'a statement'} of {one.victim} with {one.code}{after}: it chose the victim."
    rule = "postgresql" if "babelfish" in database.product.casefold() else database.engine
    if rule in RULES:
        yield RULES[rule]
    if scenario is not None:
        steered = {session.name: session.deadlock_priority for session in scenario.sessions}
        said = [
            f"{name} {priority}" for name, priority in steered.items() if priority != "normal" and name in one.cycle
        ]
        if said and database.capabilities.get("steers_victim") != "no":
            yield f"The scenario's file, as it is now, asks for deadlock priorities: {', '.join(said)}."
            if rule == "postgresql":
                yield "A session of low priority is given a short deadlock_timeout, one of high priority a long one."
    yield from (f"{each.name}: {note}" for each in history.sessions for note in each.notes if "victim" in note)


def _ends(event: Event, one: Deadlock) -> bool:
    return (
        event.kind in ENDINGS - {EventKind.ok}
        and (event.session, event.step) == (one.victim, one.victim_step)
        and event.seq > (one.picture or 0)
    )


def _pids(history: History, reports: Sequence[str]) -> dict[str, str]:
    text = "\n".join(reports)
    return {pid: each.name for each in history.sessions for pid in each.pids.values() if pid and pid in text}


def _avoid(history: History, one: Deadlock) -> Iterator[str]:
    if not one.cycle:
        yield "General advice, for the ring itself was not seen:"
    yield (
        "Take the locks in one order everywhere: if each of these sessions changed what it shares with the others in "
        "the same order (by id, say), the last wait could not arise, and with it no ring."
    )
    if history.engine in ("postgresql", "sqlserver"):
        how = "SELECT … ORDER BY id FOR UPDATE" if history.engine == "postgresql" else "SELECT … WITH (UPDLOCK)"
        yield f"Or take all of a transaction's locks at its beginning, in that order: {how}. Keep transactions short."
    if one.ended_by is Detector.server:
        yield f"Be ready for it all the same: on {one.code} roll back and run the whole transaction again, a few times."
    else:
        yield "No server ends such a ring: set a lock time-out (lock_timeout, SET LOCK_TIMEOUT), run again what it ended."


def _text(made: Explanation, title: str, one: Deadlock) -> Iterator[str]:
    ring = words.cycle(made.cycle) if made.cycle else "its ring was not seen, only its victim's error"
    level = f" at {made.level}" if made.level != "default" else ""
    yield f"{title}: {made.kind}, {ring}, on {' and '.join(made.databases)}{level}."
    if made.waits:
        yield "\nWho waited for whom, by the server's word:"
    for number, edge in enumerate(made.waits, 1):
        had = "; ".join(edge.holder_had_run) or "nothing that the evidence tells"
        statement = f" ({edge.statement})" if edge.statement else ""
        yield (
            f"{number}. {edge.waiter} in {edge.step or 'a step'}{statement} waits for {edge.holder}: {edge.resource}, "
            f"{edge.database}. {edge.holder} had finished in its open transaction: {had}."
        )
    if len(one.waits) > len(made.waits):
        yield f"… {len(one.waits) - len(made.waits)} more waits"
    if made.closed_by:
        yield f"\nThe ring closed with {made.closed_by}: of its waits that one began last."
    elif made.waits:
        yield "\nThe evidence does not tell which wait was the last to begin."
    yield f"\nHow it ended: {words.deadlock_end(one)}."
    yield from made.why
    if made.afterwards:
        yield "\nWhat happened then:"
        yield from (f"- {line}" for line in made.afterwards)
    if made.engine_report:
        whose = ", ".join(f"{pid} is {name}" for pid, name in made.pids.items())
        yield f"\nThe server's own report{f' (process {whose})' if whose else ''}:"
        yield from made.engine_report
    yield "\nHow to avoid it (general advice, not part of the evidence):"
    yield from (f"- {line}" for line in made.avoid)
