"""What serial runs on real servers teach of a scenario's steps."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.exploring.scout import Learned, grown, scout
from harness.runner.touching import UNKNOWN
from harness.scenario.cases import cases
from harness.scenario.conflicts import Access, Footprint, conflicts_of
from harness.scenario.load import load
from harness.scenario.model import Case
from harness.suite import Suite

Scouted = Callable[..., tuple[Case, Learned]]

TABLES = """
title: Tables that hang together
database: promptsales
setup:
  - CREATE TABLE parent (id int PRIMARY KEY, v int)
  - CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE, v int)
  - CREATE TABLE fired (id int PRIMARY KEY, v int)
  - CREATE TABLE other (id int PRIMARY KEY, v int)
  - CREATE TABLE logged (id int PRIMARY KEY, v int)
  - CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what int)
  - CREATE VIEW look AS SELECT v FROM parent
  - "CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE other SET v = 1; RETURN NEW; END'"
  - CREATE TRIGGER moved AFTER UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION move()
  - "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log (what) VALUES (1); RETURN NEW; END'"
  - CREATE TRIGGER noted AFTER UPDATE ON logged FOR EACH ROW EXECUTE FUNCTION note()
  - "CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(id) FROM child'"
  - "CREATE FUNCTION tell() RETURNS void LANGUAGE sql AS 'NOTIFY somebody'"
  - INSERT INTO parent VALUES (1, 1), (2, 2)
  - INSERT INTO logged VALUES (1, 1), (2, 2)
  - INSERT INTO fired VALUES (1, 1)
  - INSERT INTO other VALUES (1, 1)
expect: {postgresql: {any: {}}}
"""


@pytest.fixture
def scouted(suite: Suite, tmp_path: Path) -> Scouted:
    """Scouts a scenario given as text, or a file, at a level, on a database of those that it runs on."""

    def run(text: str | Path, level: str = "", on: str = "promptsales") -> tuple[Case, Learned]:
        file = text
        if isinstance(text, str):
            file = tmp_path / "one.yaml"
            file.write_text(textwrap.dedent(text), "utf-8")
        found = [
            case
            for case in cases(load(Path(file)), suite.servers.describe)
            if not case.reason and case.level == (level or case.level) and case.databases[0].logical == on
        ]
        return found[0], scout(suite, found[0])

    return run


def one(statement: str) -> str:
    return f"""{TABLES}
sessions:
  T: {{setup: begin, steps: {{one: "{statement}", end: commit}}}}
  U: {{steps: {{two: SELECT 1}}}}
schedule: [one, end, two]
"""


def told(footprint: Footprint) -> set[str]:
    """``w db.table 1 2``."""
    if footprint.everything:
        return {"everything"}
    return {
        " ".join(["w" if access.writes else "r", access.where.removeprefix("db."), *sorted(access.keys or ())])
        for access in footprint.accesses
    }


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("SELECT v FROM parent WHERE id = 1", {"r parent 1"}),
        ("UPDATE parent SET v = 2 WHERE id = 1", {"w parent 1"}),
        ("INSERT INTO child VALUES (1, 1, 1)", {"w child", "w parent"}),
        ("DELETE FROM parent WHERE id = 1", {"w child", "w parent"}),
        ("UPDATE fired SET v = 2 WHERE id = 1", {"w fired", "w other"}),
        ("UPDATE logged SET v = 2 WHERE id = 1", {"w logged 1", "w log added by one", "w log_id_seq added by one"}),
        ("SELECT sum(v) FROM look", {"r look", "r parent"}),
        ("SELECT total()", {"r child"}),
        ("UPDATE other SET v = total() WHERE id = 1", {"w other", "r child"}),
        ("SELECT tell()", {"everything"}),
        ("SELECT pg_advisory_xact_lock(1)", {"everything"}),
        ("LOCK TABLE other", {"everything"}),
    ],
)
def test_what_statements_do_not_name_is_learned(scouted: Scouted, statement: str, what: set[str]) -> None:
    assert told(scouted(one(statement))[1]["one"]) == what


def test_a_branch_that_was_not_taken_counts(scouted: Scouted) -> None:
    """The function would change another table on another day."""
    makes = "CREATE FUNCTION sometimes(n int) RETURNS void LANGUAGE plpgsql AS "
    body = "'BEGIN IF n > 1 THEN UPDATE other SET v = 1; END IF; END'"
    text = one("SELECT sometimes(1)").replace(
        "  - INSERT INTO parent", f'  - "{makes}{body}"\n  - INSERT INTO parent', 1
    )
    assert told(scouted(text)[1]["one"]) == {"w other"}


def test_a_branch_that_deletes_through_a_view_counts_with_its_cascades(scouted: Scouted) -> None:
    makes = "CREATE FUNCTION sometimes(n int) RETURNS void LANGUAGE plpgsql AS "
    body = "'BEGIN IF n > 1 THEN DELETE FROM look; END IF; END'"
    text = one("SELECT sometimes(1)").replace(
        "  - INSERT INTO parent", f'  - "{makes}{body}"\n  - INSERT INTO parent', 1
    )
    assert told(scouted(text)[1]["one"]) == {"w look", "w parent", "w child"}


def test_what_is_deferred_is_learned_and_makes_the_end_conflict_with_everything(scouted: Scouted) -> None:
    late = (
        "CREATE CONSTRAINT TRIGGER l AFTER UPDATE ON other DEFERRABLE INITIALLY {} FOR EACH ROW EXECUTE FUNCTION note()"
    )
    for when, is_late in (("DEFERRED", True), ("IMMEDIATE", False)):
        made = late.format(when)
        text = one("UPDATE other SET v = 2 WHERE id = 1").replace(
            "  - INSERT INTO parent", f"  - {made}\n  - INSERT INTO parent", 1
        )
        case, learned = scouted(text)
        assert told(learned["one"]) == {"w other 1", "w log added by one", "w log_id_seq added by one"}
        assert learned["one"].late == is_late
        step = case.scenario.step
        assert conflicts_of(case, learned).conflict(step("end"), step("two")) == is_late


def test_keys_that_are_equal_without_being_the_same_are_not_told_apart(scouted: Scouted) -> None:
    """Only ICU makes such collations, and not every server has it: here the catalog is made to say so."""
    for deterministic, what in (("true", "w named ab"), ("false", "w named")):
        text = one("UPDATE named SET v = 1 WHERE id = 'ab'").replace(
            "  - INSERT INTO parent",
            "  - CREATE COLLATION lax (locale = 'C')\n"
            f"  - UPDATE pg_collation SET collisdeterministic = {deterministic} WHERE collname = 'lax'\n"
            "  - CREATE TABLE named (id text COLLATE lax PRIMARY KEY, v int)\n"
            "  - INSERT INTO parent",
            1,
        )
        assert told(scouted(text)[1]["one"]) == {what}


def test_a_trigger_that_never_fired_may_do_anything(scouted: Scouted) -> None:
    """The step fails in every order, so nobody has seen what the trigger does."""
    _, learned = scouted(one("UPDATE fired SET v = 1 / (v - v) WHERE id = 1"))
    assert learned["one"].everything
    assert any("it never succeeded" in note for note in learned.notes)


def test_each_step_is_told_its_own_though_an_earlier_one_has_the_lock(scouted: Scouted) -> None:
    text = f"""{TABLES}
sessions:
  T: {{steps: {{open: begin, look: SELECT v FROM other WHERE id = 1, fire: UPDATE fired SET v = 2, end: commit}}}}
schedule: [open, look, fire, end]
"""
    _, learned = scouted(text)
    assert told(learned["look"]) == {"r other 1"}
    assert told(learned["fire"]) == {"w fired", "w other"}


def test_a_log_that_somebody_reads_is_a_table_like_any_other(scouted: Scouted) -> None:
    text = one("UPDATE logged SET v = 2 WHERE id = 1").replace("two: SELECT 1", "two: SELECT count(*) FROM log")
    assert told(scouted(text)[1]["one"]) == {"w logged", "w log", "w log_id_seq"}


ROWS = """
title: Two campaigns
database: [promptsales, promptads]
levels: {postgresql: [read committed, repeatable read, serializable]}
data: sample
sessions:
  T: {setup: begin, steps: {one: UPDATE campaign SET budget = 1 WHERE id = 1, end_one: commit}}
  U: {setup: begin, steps: {two: UPDATE campaign SET budget = 2 WHERE id = 2, end_two: commit}}
schedule: [one, two, end_one, end_two]
expect: {postgresql: {any: {}}}
"""


@pytest.mark.parametrize("on", ["promptsales", "promptads"])
def test_two_campaigns_of_the_sample_are_two_rows(scouted: Scouted, on: str) -> None:
    """Their tables have foreign keys, and triggers that stamp a row or write to the audit log."""
    case, learned = scouted(ROWS, "read committed", on)
    step = case.scenario.step
    conflicts = conflicts_of(case, learned)
    assert learned.notes == []
    assert not any(conflicts.conflict(step(one), step(two)) for one in ("one", "end_one") for two in ("two", "end_two"))
    same = replace(learned["two"], accesses=learned["one"].accesses)
    assert conflicts_of(case, {**learned, "two": same}).conflict(step("one"), step("two"))
    case, learned = scouted(ROWS, "serializable", on)
    assert conflicts_of(case, learned).conflict(case.scenario.step("one"), case.scenario.step("two"))


def test_nothing_stays_of_a_scout(scouted: Scouted, suite: Suite) -> None:
    kept = list(suite.store.folder.glob("*/evidence.json")) if suite.store.folder.is_dir() else []
    scouted(ROWS)
    assert (list(suite.store.folder.glob("*/evidence.json")) if suite.store.folder.is_dir() else []) == kept


# -- what a run shows besides


READS = Footprint(frozenset({Access("db.t", False, frozenset({"1"}))}), engine="postgresql")


def test_what_was_foreseen_changes_nothing() -> None:
    assert grown({"one": READS}, {"one": frozenset({Access("db.t", False)}), "gone": frozenset()}) is None
    everything = Footprint(everything=True)
    assert grown({"one": everything}, {"one": frozenset({Access("db.t", True)})}) is None


def test_what_nobody_foresaw_is_added() -> None:
    wrote = frozenset({Access("db.t", True, learned="server"), Access("db.log", True, learned="server")})
    made = grown({"one": READS, "two": READS}, {"one": wrote})
    assert made is not None
    assert made["one"].accesses == READS.accesses | wrote
    assert made["two"] == READS
    assert grown(made, {"one": wrote}) is None


def test_a_lock_that_may_be_anything_is_everything() -> None:
    made = grown({"one": READS}, {"one": frozenset({Access(f"db.{UNKNOWN}advisory lock", True, learned="server")})})
    assert made is not None
    assert made["one"].everything
