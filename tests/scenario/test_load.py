from __future__ import annotations

from pathlib import Path

import pytest

from harness.scenario.model import Entry, Expectation
from harness.vocabulary import ALIASES, CODES, Phenomenon, phenomenon

from .files import GOOD, HOSTS, changed, loaded

COPIES = """\
title: A ring
database: promptsales
parameters: {n: 3}
sessions:
  T:
    copies: ${n}
    setup: [begin, "SET LOCAL x = 1"]
    deadlock_priority: ${'low' if i == n else 'normal'}
    steps:
      hold: UPDATE t SET x = 1 WHERE id = ${i}
      want: UPDATE t SET x = 1 WHERE id = ${next}
schedule: [hold, want: blocks]
expect:
  postgresql: {finds: deadlock, victim: "T${n}", errors: {"want_${n}": deadlock}, blocks: [want]}
"""


def test_copies(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, COPIES)
    assert [session.name for session in scenario.sessions] == ["T1", "T2", "T3"]
    assert [session.deadlock_priority for session in scenario.sessions] == ["normal", "normal", "low"]
    assert scenario.step("want_3").names == {"i": 3, "n": 3, "next": 1}
    assert [entry.step for entry in scenario.schedules[0].entries] == [
        *("hold_1", "hold_2", "hold_3"),
        *("want_1", "want_2", "want_3"),
    ]
    expected = scenario.expect["postgresql"]["any"]
    assert (expected.victim, expected.errors) == ("T3", {"want_3": "deadlock"})
    assert expected.blocks == ("want_1", "want_2", "want_3")
    assert len(loaded(tmp_path, COPIES, n="32").sessions) == 32


def test_setup_steps_have_names(tmp_path: Path) -> None:
    assert [step.name for step in loaded(tmp_path, COPIES).sessions[0].setup] == ["begin", "setup 2"]


@pytest.mark.parametrize(
    ("reads", "made"),
    [
        ("budget", {"budget": ""}),
        ("[budget, version]", {"budget": "", "version": ""}),
        ("{budget: b, version: }", {"budget": "b", "version": ""}),
    ],
)
def test_short_forms_of_reads(tmp_path: Path, reads: str, made: dict[str, str]) -> None:
    text = changed(
        "again: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}", f"again: {{run: x, reads: {reads}}}"
    )
    assert loaded(tmp_path, text).step("again").reads == made


def test_short_forms_of_claims(tmp_path: Path) -> None:
    schedule = GOOD[GOOD.index("schedule:") : GOOD.index("expect:")]
    text = changed(schedule, "schedule: [read, look: blocks, {commit: {blocks: false, until: again}}, again: runs]\n")
    assert loaded(tmp_path, text).schedules[0].entries == (
        Entry("read"),
        Entry("look", True),
        Entry("commit", False, "again"),
        Entry("again", False),
    )


def test_short_forms_of_statements(tmp_path: Path) -> None:
    text = changed(
        "commit: commit", "commit: {postgresql: commit, redis: [SET, a, 5], mongodb: {ping: 1}, sqlserver: }"
    )
    step = loaded(tmp_path, text).step("commit")
    assert step.bodies == {
        "postgresql": "commit",
        "redis": ["SET", "a", "5"],
        "mongodb": {"ping": 1},
        "sqlserver": None,
    }
    assert step.body("redis") == ["SET", "a", "5"]
    assert step.body("sqlserver") is None


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("SELECT 1", {"db": {"*": ("SELECT 1",)}}),
        ("[SELECT 1, SELECT 2]", {"db": {"*": ("SELECT 1", "SELECT 2")}}),
        ("{db: [SELECT 1]}", {"db": {"*": ("SELECT 1",)}}),
        ("{postgresql: [SELECT 1], '*': SELECT 2}", {"db": {"postgresql": ("SELECT 1",), "*": ("SELECT 2",)}}),
        ("{db: {sqlserver: [SELECT 1], redis: }}", {"db": {"sqlserver": ("SELECT 1",), "redis": ()}}),
        (
            "[SELECT 1, {postgresql: SELECT 2}, {sqlserver: SELECT 3}]",
            {"db": {"postgresql": ("SELECT 1", "SELECT 2"), "sqlserver": ("SELECT 1", "SELECT 3")}},
        ),
        ("{mongodb: {insert: t, documents: []}}", {"db": {"mongodb": ({"insert": "t", "documents": []},)}}),
        ("~", {}),
    ],
)
def test_set_up(tmp_path: Path, written: str, made: object) -> None:
    setup = GOOD[GOOD.index("setup:\n") : GOOD.index("items:")]
    assert loaded(tmp_path, changed(setup, f"setup: {written}\n")).setup == made


def test_one_session_needs_no_schedule(tmp_path: Path) -> None:
    text = "title: x\ndatabase: cache\nsessions: {A: {steps: {a: GET x, b: GET y}}}\nexpect: {redis: {}}\n"
    scenario = loaded(tmp_path, text)
    assert [schedule.name for schedule in scenario.schedules] == ["default"]
    assert [entry.step for entry in scenario.schedules[0].entries] == ["a", "b"]


def test_one_expectation_for_all_levels_or_one_for_each(tmp_path: Path) -> None:
    expect = GOOD[GOOD.index("expect:") :]
    levels = changed("[read committed]", "[read committed, repeatable read, serializable]")
    one = loaded(tmp_path, changed(expect, "expect: {postgresql: {finds: P4}}\n", levels)).expect["postgresql"]
    assert one == {"any": Expectation(finds=(Phenomenon.lost_update,))}
    split = "expect: {postgresql: {'read committed, serializable': {blocks: look}, any: {errors: {commit: 40001}}}}\n"
    several = loaded(tmp_path, changed(expect, split, levels)).expect["postgresql"]
    assert several["read committed"] == several["serializable"] == Expectation(blocks=("look",))
    assert several["any"] == Expectation(errors={"commit": "40001"})


@pytest.mark.parametrize(("written", "made"), [("Deadlock", "deadlock"), ("EXEC nil", "EXEC nil"), ("40P01", "40P01")])
def test_kinds_and_codes(tmp_path: Path, written: str, made: str) -> None:
    scenario = loaded(tmp_path, changed("blocks: []", f"errors: {{commit: {written}}}"))
    assert scenario.expect["postgresql"]["read committed"].errors == {"commit": made}


def test_every_name_of_a_phenomenon() -> None:
    for one in Phenomenon:
        assert phenomenon(one.value.upper()) is one
    assert phenomenon("incorrect summary") is ALIASES["incorrect summary"] is Phenomenon.read_skew
    assert {code: phenomenon(code).value for code in CODES} == {
        "G0": "dirty write",
        "G1a": "dirty read",
        "G1b": "intermediate read",
        "G1c": "circular information flow",
        "OTV": "observed transaction vanishes",
        "P4": "lost update",
        "PMP": "phantom",
    }


RECORDS = [
    Expectation(),
    Expectation(blocks=()),
    Expectation(blocks=("a", "b")),
    Expectation(
        finds=(Phenomenon.deadlock,),
        allows=(Phenomenon.read_skew, Phenomenon.phantom),
        victim="T1",
        errors={"a": "40P01"},
        sees={"a": None, "b": [1, "x"], "c": 0, "d": ""},
        final={"x": "< 400"},
        counts={"committed": 400},
        may_refuse=("deadlock", "40001"),
        holds=("x == 1", "y > x"),
    ),
]


@pytest.mark.parametrize("expectation", RECORDS)
def test_an_expectation_comes_back_from_its_record(expectation: Expectation) -> None:
    assert Expectation.from_record(expectation.as_record()) == expectation


def test_no_block_expected_is_not_nothing_said() -> None:
    assert Expectation(blocks=()).as_record() == {"finds": [], "blocks": []}
    assert Expectation().as_record() == {"finds": []}
    with pytest.raises(ValueError, match="says nothing of findz"):
        Expectation.from_record({"findz": []})


def test_sessions_name_their_database_and_their_host(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, HOSTS)
    assert scenario.hosts == ("pc1", "pc-2")
    assert [(one.name, one.host, one.databases) for one in scenario.sessions] == [
        ("A", "pc1", ("ads",)),
        ("B", "pc-2", ("crm", "ads")),
        ("C", "", ("ads",)),
        ("D1", "pc1", ("ads",)),
        ("D2", "pc-2", ("ads",)),
        ("D3", "pc1", ("ads",)),
    ]
