from __future__ import annotations

from pathlib import Path

from harness.scenario.cases import cases
from harness.scenario.model import Case
from harness.vocabulary import REAL_ENGINE

from .files import GOOD, changed, loaded


def real(logical: str) -> tuple[str, bool]:
    return REAL_ENGINE[logical], False


def embedded(logical: str) -> tuple[str, bool]:
    """SQL Server is stood in for by PostgreSQL."""
    engine = REAL_ENGINE[logical]
    return ("postgresql", True) if engine == "sqlserver" else (engine, False)


def ids(made: list[Case]) -> list[str]:
    return [case.id for case in made]


def test_databases_times_levels_times_schedules(tmp_path: Path) -> None:
    text = changed("database: promptsales", "database: [promptsales, promptads]")
    text = changed("[read committed]", "[read committed, serializable]", text)
    text = changed("    read committed:\n", "    any:\n", text)
    schedule = GOOD[GOOD.index("schedule:") : GOOD.index("expect:")]
    text = changed(schedule, "schedules: {one: [read, write], other: [look]}\n", text)
    made = list(cases(loaded(tmp_path, text), embedded))
    assert ids(made) == [
        f"case[{where}-{level}-{schedule}]"
        for where in ("promptsales@postgresql", "promptads@postgresql-standin")
        for level in ("read_committed", "serializable")
        for schedule in ("one", "other")
    ]
    assert made[-1].databases[0].stand_in == "sqlserver"
    assert made[-1].databases[0].level == "serializable"


def test_an_engine_of_which_nothing_is_said_is_skipped_with_a_reason(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, changed("database: promptsales", "database: [promptsales, promptads]"))
    here, there = cases(scenario, real)
    assert not here.reason
    assert there.reason == "runs only on postgresql; promptads is on sqlserver here"
    text = GOOD.replace("promptsales", "promptads").replace("postgresql", "sqlserver")
    (only,) = cases(loaded(tmp_path, text), embedded)
    assert only.id == "case[promptads@postgresql-standin]"
    assert only.reason == (
        "runs only on sqlserver; promptads is on postgresql here, a stand-in for sqlserver: "
        "set PROMPTADS_URL or take --servers=containers"
    )


def test_a_step_without_a_text_for_the_engine_is_a_reason(tmp_path: Path) -> None:
    (case,) = cases(loaded(tmp_path, changed("commit: commit", "commit: {sqlserver: commit}")), real)
    assert case.reason == "step commit says nothing for postgresql, where 'db' is here"


def test_a_schedule_has_an_expectation_of_its_own(tmp_path: Path) -> None:
    schedule = GOOD[GOOD.index("schedule:") : GOOD.index("expect:")]
    own = "schedules: {one: [read], other: {steps: [look], expect: {postgresql: {finds: phantom}}}}\n"
    one, other = cases(loaded(tmp_path, changed(schedule, own)), real)
    assert one.expectation.finds == ()
    assert [found.value for found in other.expectation.finds] == ["phantom"]


def test_other_engines_run_at_the_first_level_given_for_them(tmp_path: Path) -> None:
    text = changed("database: promptsales", "databases: {sales: promptsales, content: promptcontent, cache: cache}")
    text = changed(
        "setup:\n  - CREATE TABLE campaign (id int PRIMARY KEY, budget int)\n  - ", "setup:\n  sales: ", text
    )
    text = changed("[read committed]\n", "[read committed]\n  mongodb: [snapshot, local]\n", text)
    text = changed("expect:\n", "expect:\n  mongodb: {}\n", text)
    (case,) = cases(loaded(tmp_path, text), real)
    assert case.id == "case[promptsales@postgresql+promptcontent@mongodb+cache@redis-read_committed]"
    assert [database.level for database in case.databases] == ["read committed", "snapshot", "atomic commands"]


def test_without_levels_the_default_one_is_run(tmp_path: Path) -> None:
    text = changed("levels:\n  postgresql: [read committed]\n", "")
    assert ids(list(cases(loaded(tmp_path, text), real))) == ["case[promptsales@postgresql-read_committed]"]
