"""Evidences as real runs leave them, made by code: what the report's tests draw, and what one looks at while drawing.

``python -m tests.report.samples FOLDER`` writes each one's pictures and texts, and a page of all of them.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from harness.answers import DeadlockReport, ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.evidence.model import Anomaly, Deadlock, Detector, Evidence, Phenomenon, Status, Verdict
from harness.evidence.verdict import judge
from harness.history import (
    DatabaseRecord,
    Event,
    EventKind,
    History,
    HostRecord,
    Operation,
    Phase,
    RunEnd,
    SessionRecord,
    Wait,
    WaitPicture,
)
from harness.scenario.model import Expectation

PG = DatabaseRecord(
    alias="sales",
    logical="promptsales",
    engine="postgresql",
    version="18.6",
    product="PostgreSQL",
    server="localhost:5432",
    name="psh_k3x9_1",
    capabilities={"waits": "yes", "locks": "yes", "reports": "yes", "steers_victim": "yes"},
)


def stand_in(logical: str, alias: str, port: int) -> DatabaseRecord:
    return PG.model_copy(
        update={
            "alias": alias,
            "logical": logical,
            "server": f"localhost:{port}",
            "stand_in": "sqlserver",
            "name": f"psh_k3x9_{alias}",
        }
    )


def r(item: str, value: Any) -> Operation:
    return Operation(action="r", item=item, value=value)


def w(item: str, value: Any = None) -> Operation:
    return Operation(action="w", item=item, value=value, known=value is not None)


BEGAN = 1784975467.0  # 2026-07-25 10:31:07 UTC, when the cases began by the controller's clock


class Recorder:
    """Writes events as the runner would. ``clocks``: of sessions on another machine, how far its clock is ahead."""

    def __init__(self, database: str = "sales", clocks: dict[str, float] | None = None) -> None:
        self.clocks = clocks or {}
        self.events: list[Event] = []
        self.pictures: list[WaitPicture] = []
        self.at = 0.0
        self.database = database
        self._open: dict[str, Event] = {}
        self._transaction: set[tuple[str, str]] = set()

    def _add(self, kind: EventKind, session: str, step: str, **more: Any) -> Event:
        self.at += more.pop("wait", 0.0007)
        more.setdefault("database", self.database)
        event = Event(seq=len(self.events) + 1, at=self.at, kind=kind, session=session, step=step, **more)
        self.events.append(event)
        return event

    def start(self, session: str, step: str, statement: str, **more: Any) -> None:
        self._open[session] = self._add(EventKind.start, session, step, statement=statement, **more)

    def blocked(self, session: str, *by: str) -> None:
        begun = self._open[session]
        self._add(
            EventKind.blocked,
            session,
            begun.step,
            waits_for=list(by),
            wait=0.0014,
            database=begun.database,
            attempt=begun.attempt,
        )

    def end(self, session: str, kind: EventKind = EventKind.ok, *operations: Operation, **more: Any) -> None:
        begun = self._open.pop(session)
        unheard = more.pop("unheard", False)  # its machine was cut off: nobody tells when
        key = (session, begun.database)
        word = begun.statement.split()[0].rstrip(";").upper() if begun.statement else ""
        ended = more.pop("ended", {"COMMIT": TransactionEnd.committed, "ROLLBACK": TransactionEnd.aborted}.get(word))
        if word == "BEGIN":
            self._transaction.add(key)
        if ended:
            self._transaction.discard(key)
        event = self._add(
            kind,
            session,
            begun.step,
            operations=list(operations),
            in_transaction=key in self._transaction,
            ended=ended,
            database=begun.database,
            attempt=begun.attempt,
            phase=begun.phase,
            **more,
        )
        known: dict[str, Any] = {"seconds": event.at - begun.at}
        if session in self.clocks and not unheard:
            ahead = BEGAN + self.clocks[session]
            known |= {"host_began": ahead + begun.at + 0.0001, "host_ended": ahead + event.at - 0.0001}
        self.events[-1] = event.model_copy(update=known)

    def step(self, session: str, step: str, statement: str, *operations: Operation, **more: Any) -> None:
        begun = {key: more.pop(key) for key in ("database", "parameters", "attempt", "phase") if key in more}
        self.start(session, step, statement, **begun)
        self.end(session, EventKind.ok, *operations, **more)

    def fail(self, session: str, kind: ErrorKind, code: str, message: str, **more: Any) -> None:
        error = ErrorRecord(kind=kind, code=code, message=message, detail=more.pop("detail", ""))
        self.end(session, EventKind.error, error=error, **more)


def history(case: str, title: str, recorder: Recorder, names: list[str], **more: Any) -> History:
    databases = more.pop("databases", [PG])
    level = more.setdefault("level", "read committed")
    observed = more.pop("observed", level)
    on = more.pop("on", {})  # by session, for those that did not run at the controller
    return History(
        case=case,
        scenario=case.split("[")[0],
        title=title,
        file=f"scenarios/{case.split('[')[0]}.yaml",
        engine=more.pop("engine", "postgresql"),
        schedule=more.pop("schedule", "explicit"),
        databases=databases,
        sessions=[
            SessionRecord(
                name=name,
                host=on.get(name, more.get("host", "alpha")),
                pids={database.alias: str(4100 + i) for database in databases},
                observed_levels={database.alias: observed for database in databases},
            )
            for i, name in enumerate(names)
        ],
        events=recorder.events,
        pictures=recorder.pictures,
        seconds=recorder.at,
        **{key: value for key, value in more.items() if key != "host"},
    )


UPDATE = "UPDATE budgets SET amount = amount - 10 WHERE campaign = {}"

LOG = """2026-07-25 10:31:07.114 UTC [4102] ERROR:  deadlock detected
2026-07-25 10:31:07.114 UTC [4102] DETAIL:  Process 4102 waits for ShareLock on transaction 742; blocked by process 4100.
\tProcess 4100 waits for ShareLock on transaction 743; blocked by process 4101.
\tProcess 4101 waits for ShareLock on transaction 744; blocked by process 4102.
2026-07-25 10:31:07.114 UTC [4102] HINT:  See server log for query details.
"""


def cascade() -> Evidence:
    """(a) Three sessions in a ring on PostgreSQL; T3 is the victim, then T2 goes on, then T1."""
    rec = Recorder()
    for name in ("T1", "T2", "T3"):
        rec.step(name, f"{name}.begin", "BEGIN")
    for i, name in enumerate(("T1", "T2", "T3"), 1):
        rec.step(name, f"{name}.own", UPDATE.format(i), w(f"budget{i}", 90))
    waits = []
    for i, name in enumerate(("T1", "T2", "T3"), 1):
        nxt = i % 3 + 1
        rec.start(name, f"{name}.next", UPDATE.format(nxt))
        rec.blocked(name, f"T{nxt}")
        waits.append(
            Wait(
                waiter=name,
                holder=f"T{nxt}",
                database="sales",
                step=f"{name}.next",
                resource=f"transaction {741 + nxt}, row (0,{nxt}) of budgets",
                asked="ShareLock",
                waiter_pid=str(4099 + i),
                holder_pid=str(4099 + nxt),
            )
        )
        rec.pictures.append(
            WaitPicture(
                seq=i,
                at=rec.at,
                reason=f"{name}.next is blocked",
                waits=list(waits),
                cycle=["T1", "T2", "T3"] if i == 3 else [],
                servers=["localhost:5432"] if i == 3 else [],
                seen_by_server=True if i == 3 else None,
            )
        )
    rec.fail(
        "T3",
        ErrorKind.deadlock,
        "40P01",
        "deadlock detected",
        wait=0.1032,
        detail="Process 4102 waits for ShareLock on transaction 742; blocked by process 4100.",
    )
    victim = rec.events[-1].seq
    rec.end("T2", EventKind.ok, w("budget3", 90), wait=0.0004, results=[ResultSet(status="UPDATE 1")])
    rec.step("T3", "T3.rollback", "ROLLBACK")
    rec.step("T2", "T2.commit", "COMMIT")
    rec.end("T1", EventKind.ok, w("budget2", 80), wait=0.0003)
    rec.step("T1", "T1.commit", "COMMIT")
    assert victim
    report = DeadlockReport(database="sales", source="server log", text=LOG)
    return Evidence(
        run="k3x9",
        history=history(
            "cascade_deadlock[promptsales@postgresql-read_committed]",
            "A cascade deadlock across three transactions",
            rec,
            ["T1", "T2", "T3"],
            initial={"budget1": 100, "budget2": 100, "budget3": 100},
            final={"budget1": 90, "budget2": 80, "budget3": 90},
            reports=[report],
        ),
        expectation={"deadlock": {"cycle": ["T1", "T2", "T3"], "victim": "T3"}},
        verdict=Verdict(
            status=Status.passed,
            summary="deadlock of T1, T2 and T3 as expected, victim T3",
            expected=["a deadlock of T1, T2, T3", "victim T3"],
            deadlocks=[
                Deadlock(
                    cycle=["T1", "T2", "T3"],
                    waits=waits,
                    seen_by_server=True,
                    ended_by=Detector.server,
                    victim="T3",
                    victim_step="T3.next",
                    code="40P01",
                    picture=3,
                    story=[
                        "T3 was chosen as victim and lost its transaction",
                        "that let T2.next go on, after 105 ms of waiting",
                        "T2 committed, which let T1.next go on",
                    ],
                    reports=[report],
                )
            ],
        ),
    )


def hidden() -> Evidence:
    """(b) A cycle over two servers: neither can see it, the harness breaks it."""
    ads, crm = stand_in("promptads", "ads", 5433), stand_in("promptcrm", "crm", 5434)
    rec = Recorder("ads")
    for name in ("T1", "T2"):
        rec.step(name, f"{name}.begin_ads", "BEGIN")
        rec.step(name, f"{name}.begin_crm", "BEGIN", database="crm")
    rec.step("T1", "T1.campaign", "UPDATE campaigns SET status = 'paused' WHERE id = 7", w("campaign", "paused"))
    rec.step("T2", "T2.client", "UPDATE clients SET owner = 12 WHERE id = 900", w("client", 12), database="crm")
    rec.start("T1", "T1.client", "UPDATE clients SET owner = 11 WHERE id = 900", database="crm")
    rec.blocked("T1", "T2")
    rec.start("T2", "T2.campaign", "UPDATE campaigns SET status = 'active' WHERE id = 7")
    rec.blocked("T2", "T1")
    waits = [
        Wait(
            waiter="T1",
            holder="T2",
            database="crm",
            step="T1.client",
            resource="transaction 761, row (0,4) of clients",
            asked="ShareLock",
        ),
        Wait(
            waiter="T2",
            holder="T1",
            database="ads",
            step="T2.campaign",
            resource="transaction 788, row (0,7) of campaigns",
            asked="ShareLock",
        ),
    ]
    rec.pictures.append(
        WaitPicture(
            seq=1,
            at=rec.at,
            reason="T2.campaign is blocked",
            waits=waits,
            cycle=["T1", "T2"],
            servers=["localhost:5434", "localhost:5433"],
            seen_by_server=False,
            locks=[
                {"pid": "4100", "type": "transactionid", "mode": "ShareLock", "status": "waiting"},
                {"pid": "4101", "type": "transactionid", "mode": "ExclusiveLock", "status": "granted"},
            ],
        )
    )
    rec.end(
        "T2",
        EventKind.cancelled,
        text="the harness broke a cycle over two servers",
        error=ErrorRecord(kind=ErrorKind.cancelled, code="57014", message="canceling statement due to user request"),
        wait=0.021,
    )
    rec.step("T2", "T2.rollback_ads", "ROLLBACK")
    rec.step("T2", "T2.rollback_crm", "ROLLBACK", database="crm")
    rec.end("T1", EventKind.ok, w("client", 11), wait=0.0005)
    rec.step("T1", "T1.commit_ads", "COMMIT")
    rec.step("T1", "T1.commit_crm", "COMMIT", database="crm")
    return Evidence(
        run="k3x9",
        history=history(
            "two_host_deadlock[promptads@postgresql-standin-read_committed]",
            "A deadlock over two servers that neither of them can see",
            rec,
            ["T1", "T2"],
            databases=[ads, crm],
        ),
        expectation={"hidden deadlock": {"cycle": ["T1", "T2"]}},
        verdict=Verdict(
            status=Status.passed,
            summary="hidden deadlock of T1 and T2 over promptads and promptcrm, as expected",
            expected=["a hidden deadlock of T1, T2"],
            deadlocks=[
                Deadlock(
                    cycle=["T1", "T2"],
                    waits=waits,
                    seen_by_server=False,
                    ended_by=Detector.harness,
                    victim="T2",
                    victim_step="T2.campaign",
                    code="57014",
                    picture=1,
                    story=["T2.campaign was cancelled", "T2 rolled back, which let T1.client go on"],
                )
            ],
            notes=["SQL Server is stood in for by PostgreSQL: the lock modes are PostgreSQL's"],
        ),
    )


def lost_update() -> Evidence:
    """(c) Two read-modify-writes at read committed: one is lost, and the proof says so."""
    rec = Recorder()
    read = "SELECT amount FROM budgets WHERE campaign = 1"
    rows = [ResultSet(columns=["amount"], rows=[[100]], status="SELECT 1")]
    rec.step("T1", "T1.begin", "BEGIN")
    rec.step("T2", "T2.begin", "BEGIN")
    rec.step("T1", "T1.read", read, r("budget", 100), results=rows)
    first = rec.events[-1].seq
    rec.step("T2", "T2.read", read, r("budget", 100), results=rows)
    second = rec.events[-1].seq
    rec.step(
        "T1",
        "T1.write",
        "UPDATE budgets SET amount = $1 WHERE campaign = $2",
        w("budget", 90),
        parameters=[90, 1],
    )
    third = rec.events[-1].seq
    rec.start("T2", "T2.write", "UPDATE budgets SET amount = $1 WHERE campaign = $2", parameters=[80, 1])
    rec.blocked("T2", "T1")
    rec.pictures.append(
        WaitPicture(
            seq=1,
            at=rec.at,
            reason="T2.write is blocked",
            waits=[
                Wait(
                    waiter="T2",
                    holder="T1",
                    database="sales",
                    step="T2.write",
                    resource="transaction 742, row (0,1) of budgets",
                    asked="ShareLock",
                )
            ],
        )
    )
    rec.step("T1", "T1.commit", "COMMIT")
    rec.end("T2", EventKind.ok, w("budget", 80), wait=0.0003)
    fourth = rec.events[-1].seq
    rec.step("T2", "T2.commit", "COMMIT")
    return Evidence(
        run="k3x9",
        history=history(
            "lost_update[promptsales@postgresql-read_committed]",
            "Two planners spend from the same budget",
            rec,
            ["T1", "T2"],
            initial={"budget": 100},
            final={"budget": 80},
        ),
        expectation={"absent": ["lost update"]},
        verdict=Verdict(
            status=Status.failed,
            summary="lost update (P4) found, expected to be absent",
            expected=["no lost update"],
            mismatches=["lost update (P4) was expected to be absent, and T1 and T2 show it"],
            reads=["T1.read saw the initial version of budget", "T2.read saw the initial version of budget"],
            anomalies=[
                Anomaly(
                    phenomenon=Phenomenon.lost_update,
                    adya="P4",
                    sessions=["T1", "T2"],
                    steps=["T1.read", "T2.read", "T1.write", "T2.write"],
                    events=[first, second, third, fourth],
                    proof=[
                        "Let T1 read budget = 100 (T1.read) and T2 read the same version of it (T2.read).",
                        "Then T1 writes budget = 90 from what it read (T1.write) and commits.",
                        "However, T2 writes budget = 80 from the version before it (T2.write) and commits too: "
                        "no serial order of T1 and T2 lets both read 100.",
                        "So T1's update is lost. ∎",
                    ],
                )
            ],
        ),
    )


def dirty_read() -> Evidence:
    """(d) A dirty read that the server prevents."""
    rec = Recorder()
    rec.step("writer", "begin_w", "BEGIN")
    rec.step("reader", "begin_r", "BEGIN")
    rec.step("writer", "write", "UPDATE budgets SET amount = 999 WHERE campaign = 1", w("budget", 999))
    rec.step("reader", "read", "SELECT amount FROM budgets WHERE campaign = 1", r("budget", 100))
    rec.step("writer", "undo", "ROLLBACK")
    rec.step("reader", "commit_r", "COMMIT")
    return Evidence(
        run="k3x9",
        history=history(
            "dirty_read[promptsales@postgresql-read_uncommitted]",
            "A reader looks at a budget that is being changed",
            rec,
            ["writer", "reader"],
            level="read uncommitted",
            observed="read committed",
            initial={"budget": 100},
            final={"budget": 100},
        ),
        verdict=Verdict(
            status=Status.passed,
            summary="no dirty read, as expected",
            expected=["no dirty read"],
            reads=["read saw the initial version of budget"],
            notes=["PostgreSQL gives read committed where read uncommitted is asked for"],
        ),
    )


def ring(size: int = 32) -> Evidence:
    """(e) A ring of many sessions."""
    rec = Recorder()
    names = [f"T{i:02}" for i in range(1, size + 1)]
    waits = []
    for i, name in enumerate(names, 1):
        rec.step(name, f"{name}.own", "BEGIN; " + UPDATE.format(i), w(f"b{i}", 90))
    for i, name in enumerate(names):
        holder = names[(i + 1) % size]
        rec.start(name, f"{name}.next", UPDATE.format((i + 1) % size + 1))
        rec.blocked(name, holder)
        waits.append(
            Wait(
                waiter=name,
                holder=holder,
                database="sales",
                step=f"{name}.next",
                resource=f"transaction {800 + i}, row (0,{i}) of budgets",
                asked="ShareLock",
            )
        )
    rec.pictures.append(
        WaitPicture(
            seq=1,
            at=rec.at,
            reason="a cycle was closed",
            waits=waits,
            cycle=names,
            servers=["localhost:5432"],
            seen_by_server=True,
        )
    )
    rec.fail(names[-1], ErrorKind.deadlock, "40P01", "deadlock detected", wait=1.0)
    rec.step(names[-1], f"{names[-1]}.rollback", "ROLLBACK")
    for name in reversed(names[:-1]):
        rec.end(name, EventKind.ok, w("b", 80), wait=0.0003)
        rec.step(name, f"{name}.commit", "COMMIT")
    return Evidence(
        run="k3x9",
        history=history("ring[promptsales@postgresql-read_committed]", f"A ring of {size} sessions", rec, names),
        verdict=Verdict(
            status=Status.passed,
            summary=f"deadlock of {size} sessions as expected",
            deadlocks=[
                Deadlock(
                    cycle=names,
                    waits=waits,
                    seen_by_server=True,
                    ended_by=Detector.server,
                    victim=names[-1],
                    victim_step=f"{names[-1]}.next",
                    code="40P01",
                    picture=1,
                    story=["one after the other went on"],
                )
            ],
        ),
    )


def hung() -> Evidence:
    """(f) A run that hung: a step waits for a session that is not of this run."""
    rec = Recorder()
    rec.step("T1", "T1.begin", "BEGIN")
    rec.start("T1", "T1.write", UPDATE.format(1))
    rec.blocked("T1", "?5151")
    rec.pictures.append(
        WaitPicture(
            seq=1,
            at=rec.at,
            reason="T1.write passed its deadline",
            waits=[
                Wait(
                    waiter="T1",
                    holder="?5151",
                    database="sales",
                    resource="relation budgets",
                    asked="RowExclusiveLock",
                    held="AccessExclusiveLock",
                )
            ],
        )
    )
    rec.end("T1", EventKind.timeout, text="no answer within 5 s; cancelled", wait=5.0)
    rec._add(EventKind.skipped, "T1", "T1.commit", text="the case ended before")
    rec._add(EventKind.skipped, "T2", "T2.read", text="the case ended before")
    rec._add(EventKind.notice, "T2", "", text="WARNING: there is no transaction in progress")
    return Evidence(
        run="k3x9",
        history=history(
            "hang[promptsales@postgresql-read_committed]",
            "Something outside holds the table",
            rec,
            ["T1", "T2"],
            end=RunEnd.hung,
            end_text="T1.write hung for 5 s, waiting for ?5151; cancelled",
        ),
        verdict=Verdict(status=Status.error, summary="not judged: T1.write hung for 5 s", expected=["no lost update"]),
    )


def nasty() -> Evidence:
    """(g) What a drawing must survive: markup, quotes, control characters, very long SQL, other scripts, NULL."""
    rec = Recorder()
    columns = ", ".join(f"column_number_{i}" for i in range(80))
    rec.step("<script>alert(1)</script>", "a&b", "BEGIN")
    rec.step(
        "<script>alert(1)</script>",
        "long",
        f"SELECT {columns}\nFROM \"budgets\" WHERE name = 'O''Brien & <b>Söhne</b>' \x1b[31mred\x00",
        results=[ResultSet(columns=["a", "b"], rows=[[None, "</svg>"], [1, "値段は百円です"], [2, None], [3, "x"]])],
    )
    rec.step("q\"uote'", "ünï", "SELECT '漢字漢字漢字漢字漢字漢字' -- ✓ 🎉", r("価格", "</text>"), w("x", None))
    rec.start("q\"uote'", "conflict", '{"update": "images", "updates": [{"q": {"_id": 1}}]}')
    rec.end("q\"uote'", EventKind.conflict, text="112 WriteConflict <TransientTransactionError>")
    rec.start("<script>alert(1)</script>", "err", "SELECT 1/0")
    rec.fail("<script>alert(1)</script>", ErrorKind.other, "22012", "division <by> zero & more", detail="a\nb")
    rec.step("<script>alert(1)</script>", "again", "COMMIT", attempt=2)
    return Evidence(
        run="k3x9",
        history=history(
            "nasty[<img src=x onerror=alert(1)>]",
            'Title with <script>alert("x")</script> & more',
            rec,
            ["<script>alert(1)</script>", "q\"uote'"],
            end_text="<i>end</i>",
        ),
        expectation={"</script>": ["<b>"]},
        verdict=Verdict(
            status=Status.failed,
            summary='<script>alert("summary")</script>',
            expected=["<u>"],
            mismatches=["</td></table><script>"],
            notes=["&amp; stays &amp;"],
            anomalies=[
                Anomaly(
                    phenomenon=Phenomenon.dirty_read,
                    adya="G1a",
                    sessions=["<script>alert(1)</script>"],
                    steps=["ünï"],
                    events=[5, 6],
                    proof=["Let <b> be & bold. " * 12, "∎"],
                )
            ],
        ),
    )


def isolation() -> Evidence:
    """(h) What only isolation specs have: holds, steps run again, cancelled late, NOTIFY, a diff as the mismatch."""
    rec = Recorder()
    sql = "\n\tSELECT 'a  b'\n\tFROM \"t & u\";\n"
    rec.step("s 1", "s 1: setup", "BEGIN;\nSET x = 1;", phase=Phase.setup)
    rec.start("s 1", "get", sql)
    rec._add(EventKind.held, "s 1", "get", text="held back at the first look")
    rec.start('s"2', "wait", "LOCK TABLE t;")
    rec._add(EventKind.notice, 's"2', "wait", text="NOTICE:  \x1b[31mred\nDETAIL:  two lines\n")
    rec.blocked('s"2', "s 1")
    rec._add(EventKind.held, 's"2', "wait", text="held back by get")
    rec.end("s 1", results=[ResultSet(columns=["?column?"], rows=[["a  b"]])])
    rec._add(EventKind.notification, "s 1", "get", text='NOTIFY "c" with payload "p" from s"2')
    rec._add(EventKind.overdue, 's"2', "wait", seconds=2.0)
    rec.fail('s"2', ErrorKind.cancelled, "57014", "canceling statement due to user request")
    for _ in range(2):
        rec.step("s 1", "get", sql, attempt=2)
    rec.step("s 1", "end", "\n COMMIT;", phase=Phase.teardown)
    return Evidence(
        run="k3x9",
        history=history("isolation[promptsales@postgresql-read_committed]", "An isolation spec", rec, ["s 1", 's"2']),
        verdict=Verdict(
            status=Status.failed,
            summary="prints something else than the expected output",
            expected=["prints the known transcript"],
            mismatches=[
                "prints something else than the expected output\n--- expected\n+++ what happened\n@@ -1,2 +1,2 @@\n"
                " step get: \n-\tSELECT 'a b'\n+\tSELECT 'a  b' <b>"
            ],
        ),
    )


def many_steps(sessions: int = 6, rounds: int = 6) -> Evidence:
    """A long schedule of a handful of sessions, with conflicts."""
    rec = Recorder("content")
    names = [f"S{i}" for i in range(1, sessions + 1)]
    for number in range(rounds):
        for name in names:
            rec.step(name, f"{name}.find{number}", '{"find": "images", "filter": {"_id": 7}}', r("image", number))
        rec.start(names[0], f"S1.save{number}", '{"update": "images"}')
        rec.end(names[0], EventKind.conflict, text="112 WriteConflict", wait=0.002)
    database = stand_in("promptcontent", "content", 27017).model_copy(
        update={"engine": "mongodb", "product": "SecantusDB", "version": "0.7.0b3", "stand_in": "mongodb"}
    )
    return Evidence(
        run="k3x9",
        history=history(
            "image_conflict[promptcontent@mongodb-standin-snapshot]",
            "Editors save the same image",
            rec,
            names,
            databases=[database],
            engine="mongodb",
            level="snapshot",
        ),
        verdict=Verdict(status=Status.passed, summary="write conflicts as expected"),
    )


PC1 = HostRecord(
    name="pc1",
    hostname="DESKTOP-8K2PQ1",
    address="192.168.1.21",
    system="Windows 11",
    python="3.12.4",
    driver="psycopg 3.2.10",
    pid="9120",
    clock_offset=-0.0014,
    clock_error=0.00011,
    round_trip=0.00022,
)
PC2 = HostRecord(
    name="pc2",
    hostname="pc2.lan",
    address="192.168.1.22",
    system="Linux 6.1.0-37-amd64",
    python="3.11.2",
    driver="psycopg 3.2.10",
    pid="4711",
    clock_offset=5.0031,
    clock_error=0.00013,
    round_trip=0.00026,
)
LAN = PG.model_copy(update={"server": "192.168.1.20:5432"})
DEADLOCK = Expectation(finds=(Phenomenon.deadlock,), victim="T2", errors={"T2.next": "deadlock"})


def _on_two_pcs() -> tuple[Recorder, list[Wait]]:
    """T1 on pc1 and T2 on pc2 hold a row each and wait for the other's; the ring is seen."""
    rec = Recorder(clocks={"T1": PC1.clock_offset, "T2": PC2.clock_offset})
    waits = []
    for name, other in (("T1", "T2"), ("T2", "T1")):
        rec.step(name, f"{name}.begin", "BEGIN")
        rec.step(name, f"{name}.own", UPDATE.format(name[1]), w(f"budget{name[1]}", 90))
        waits.append(
            Wait(
                waiter=name,
                holder=other,
                database="sales",
                step=f"{name}.next",
                resource=f"transaction {740 + int(other[1])}, row (0,{other[1]}) of budgets",
                asked="ShareLock",
                waiter_pid=str(4099 + int(name[1])),
                holder_pid=str(4099 + int(other[1])),
            )
        )
    for name, other in (("T1", "T2"), ("T2", "T1")):
        rec.start(name, f"{name}.next", UPDATE.format(other[1]))
        rec.blocked(name, other)
    rec.pictures.append(
        WaitPicture(
            seq=len(rec.events),
            at=rec.at,
            reason="a cycle",
            waits=waits,
            cycle=["T1", "T2"],
            servers=["sales"],
            seen_by_server=True,
        )
    )
    return rec, waits


def _judged(what: History, expectation: Expectation) -> Evidence:
    return Evidence(run="k3x9", history=what, expectation=expectation.as_record(), verdict=judge(what, expectation))


def two_pcs() -> Evidence:
    """(i) A deadlock of sessions on two machines, whose clocks differ by five seconds."""
    rec, _ = _on_two_pcs()
    detail = "Process 4101 waits for ShareLock on transaction 741; blocked by process 4100."
    aborted = {"ended": TransactionEnd.aborted, "wait": 0.1032, "detail": detail}
    rec.fail("T2", ErrorKind.deadlock, "40P01", "deadlock detected", **aborted)
    rec.end("T1", EventKind.ok, w("budget2", 80), wait=0.0006)
    rec.step("T2", "T2.rollback", "ROLLBACK")
    rec.step("T1", "T1.commit", "COMMIT")
    what = history(
        "two_pcs[promptsales@postgresql-read_committed]",
        "Two PCs change two budgets in opposite order",
        rec,
        ["T1", "T2"],
        databases=[LAN],
        on={"T1": "pc1", "T2": "pc2"},
        hosts=[PC1, PC2],
        controller="alpha",
        reports=[DeadlockReport(database="sales", source="server log", text=LOG.replace("4102", "4101"))],
    )
    return _judged(what, DEADLOCK)


CUT = "pc2 is cut off: nothing was heard from it for 2 s"


def cut_off() -> Evidence:
    """(j) The same, but the cable of pc2 is pulled: nobody hears whom the server chose."""
    rec, _ = _on_two_pcs()
    rec.fail("T2", ErrorKind.connection, "host lost", CUT, ended=TransactionEnd.aborted, wait=2.08, unheard=True)
    rec.end("T1", EventKind.ok, w("budget2", 80), wait=0.0311)
    rec._add(EventKind.skipped, "T2", "T2.rollback", text="the run had ended")
    rec._add(EventKind.skipped, "T1", "T1.commit", text="the run had ended")
    what = history(
        "cut_off[promptsales@postgresql-read_committed]",
        "A cable is pulled while two PCs wait for each other",
        rec,
        ["T1", "T2"],
        databases=[LAN],
        on={"T1": "pc1", "T2": "pc2"},
        hosts=[PC1, PC2.model_copy(update={"lost": CUT})],
        controller="alpha",
        end=RunEnd.lost,
        end_text=CUT,
    )
    return _judged(what, DEADLOCK)


EVIL = "<b>pc</b>\x1b[31m&\"'] --very-long-name-of-a-machine.of-some-department.example.com"


def machine_room(sessions: int = 9) -> Evidence:
    """(k) Many sessions on several machines, one of them here; names that are long, or would be markup."""
    names = [f"T{i}" for i in range(1, sessions + 1)]
    machines = ["pc1", EVIL, "pc2", ""]
    on = {name: machines[i % 4] for i, name in enumerate(names) if machines[i % 4]}
    rec = Recorder(clocks=dict.fromkeys(on, 0.0))
    evil = PC1.model_copy(
        update={
            "name": EVIL,
            "hostname": "</td><script>alert(1)</script>",
            "address": "fe80::1%<i>",
            "system": "<u>\x07",
            "python": "",
            "driver": "",
            "pid": "",
            "clock_offset": 1e12,
            "round_trip": 0.0,
            "lost": "<img src=x>\nhas ended",
        }
    )
    rec.step(names[0], f"{names[0]}.own", "BEGIN; " + UPDATE.format(1), w("b1", 90))
    waits = []
    for name in names[1:]:
        rec.start(name, f"{name}.next", UPDATE.format(1))
        rec.blocked(name, names[0])
        wait = Wait(
            waiter=name, holder=names[0], database="sales", resource="row (0,1) of budgets", asked="ShareLock",
            waiter_pid=name[1:],
        )  # fmt: skip
        waits.append(wait)
    rec.pictures.append(WaitPicture(seq=1, at=rec.at, reason="all but one wait", waits=waits))
    rec.step(names[0], f"{names[0]}.commit", "COMMIT")
    for name in names[1:]:
        rec.end(name, EventKind.ok, w("b1", 80), wait=0.0003)
    what = history(
        f"machine_room_{sessions}[promptsales@postgresql-read_committed]",
        "A machine room",
        rec,
        names,
        databases=[LAN],
        on=on,
        hosts=[PC1, evil, PC2],
        controller="alpha",
    )
    return _judged(what, Expectation())


SAMPLES = {
    "cascade": cascade,
    "hidden": hidden,
    "lost_update": lost_update,
    "dirty_read": dirty_read,
    "ring": ring,
    "hung": hung,
    "nasty": nasty,
    "isolation": isolation,
    "many_steps": many_steps,
    "two_pcs": two_pcs,
    "cut_off": cut_off,
    "machine_room": machine_room,
    "small_room": partial(machine_room, 3),
    "full_room": partial(machine_room, 16),
}


def run_of(evidences: list[Evidence]) -> dict[str, Any]:
    """A ``run.json`` for them, as the store writes it."""
    return {
        "run": "k3x9",
        "started": "2026-07-25T10:31:06+00:00",
        "seconds": 9.2,
        "versions": {"harness": "0.1.0", "python": "3.11.7", "postgresql": "18.6"},
        "hosts": ["alpha"],
        "options": {"servers": "embedded", "schedules": "explicit"},
        "cases": [
            {
                "id": e.history.case,
                "file": e.history.file,
                "status": e.verdict.status.value,
                "summary": e.verdict.summary,
                "folder": f"case-{i}",
                "engine": e.history.engine,
                "level": e.history.level,
                "seconds": e.history.seconds,
            }
            for i, e in enumerate(evidences, 1)
        ],
    }


def main(folder: Path) -> None:
    from harness.report.page import report_html
    from harness.report.text import timeline_text
    from harness.report.timeline import timeline_svg
    from harness.report.waits import waits_svg

    folder.mkdir(parents=True, exist_ok=True)
    evidences = []
    for name, make in SAMPLES.items():
        evidence = make()
        evidences.append(evidence)
        (folder / f"{name}.timeline.svg").write_text(timeline_svg(evidence), encoding="utf-8")
        (folder / f"{name}.waits.svg").write_text(waits_svg(evidence), encoding="utf-8")
        (folder / f"{name}.txt").write_text(timeline_text(evidence, 100), encoding="utf-8")
    (folder / "report.html").write_text(report_html(run_of(evidences), evidences), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
