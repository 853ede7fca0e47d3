"""Pairs on servers: measured, judged, held against accepted shapes, kept and read again."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from harness.errors import DataError, HarnessError, ScenarioError
from harness.plans.grounds import Grounds, size_of
from harness.plans.model import PlanPair
from harness.plans.run import Kept, Plans
from harness.plans.store import read_pairs
from harness.runner.databases import data_url
from harness.runner.furnishing import seeded
from harness.servers.base import Target
from harness.suite import Settings, Suite

HEAD = "title: Ads\ndatabase: promptads\ndata: tiny\nruns: 3\nplans:\n"
ONE = """
  day:
    query: "SELECT sum(cost) FROM metric_day WHERE day BETWEEN '2025-12-01' AND '2025-12-02'"
    before: drop ix_metric_day_day
    expect: {postgresql: {before: scan, after: {access: seek, index: ix_metric_day_day}, examined: fewer}}
"""
NEW = """
  new:
    query: {postgresql: 'SELECT id FROM ad WHERE headline = :headline'}
    parameters: {headline: nothing}
    after: CREATE INDEX ix_ad_headline ON ad (headline)
"""


class Running:
    """Runs files of pairs on the servers of the tests' run, into a results folder of its own."""

    def __init__(self, suite: Suite, folder: Path, grounds: Grounds) -> None:
        self.grounds = grounds
        self.folder = folder
        self.suite = Suite(
            Settings(root=folder, results=folder / "results", run_id=suite.settings.run_id, servers=suite.servers)
        )

    def __call__(self, pairs: str, *, accept: bool = False, head: str = HEAD) -> list[Kept]:
        file = self.folder / "scenarios" / "ads.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(head + pairs, encoding="utf-8")
        plans = Plans(self.suite, accept=accept, grounds=self.grounds)
        return [plans.run(trial) for trial in plans.trials(file) if not trial.reason]

    def one(self, pairs: str, *, accept: bool = False, head: str = HEAD) -> PlanPair:
        (kept,) = self(pairs, accept=accept, head=head)
        return kept.pair


@pytest.fixture(scope="module")
def grounds(suite: Suite) -> Grounds:
    """Seeded once for all tests here, which leave it as it was."""
    return Grounds(suite.databases, kept=False)


@pytest.fixture
def running(suite: Suite, tmp_path: Path, grounds: Grounds) -> Running:
    return Running(suite, tmp_path, grounds)


def test_a_pair_is_measured_judged_and_kept(running: Running) -> None:
    kept = running(ONE)[0]
    pair = kept.pair
    assert (pair.id, pair.status, pair.mismatches) == ("day[promptads@postgresql-standin-tiny]", "passed", [])
    assert (pair.before.index, pair.after.index) == ("without ix_metric_day_day", "")
    assert pair.findings[0] == "metric_day: scan → seek (ix_metric_day_day)"
    assert pair.before.timing is not None
    assert pair.before.timing.runs == 3
    assert pair.before.timing.least <= pair.before.timing.median <= pair.before.timing.most
    assert (pair.stand_in, pair.file) == ("sqlserver", "scenarios/ads.yaml")
    folder = kept.path.parent
    assert sorted(file.name for file in folder.iterdir()) == ["after.json", "before.json", "plans.json", "plans.svg"]
    assert (folder / "before.json").read_text("utf-8") == pair.before.plan.raw
    assert read_pairs(running.suite.store.folder) == [pair]


def test_what_is_not_as_expected_fails(running: Running) -> None:
    pair = running.one(ONE.replace("before: scan", "before: seek").replace("examined: fewer", "examined: more"))
    assert pair.status == "failed"
    assert pair.mismatches[0] == "before: expected metric_day to be read by seek, it was scan"
    assert pair.mismatches[1].startswith("rows or documents examined: expected more:")


def test_what_is_expected_of_larger_data_is_not_judged_and_that_is_said(running: Running) -> None:
    wrong = ONE.replace("before: scan", "before: seek") + "    expected_from: full\n"
    pair = running.one(wrong)
    assert pair.status == "passed"
    assert "not judged: what is expected holds from the size full on" in pair.findings


def test_a_new_index_leaves_the_database_as_it_was(running: Running) -> None:
    pair = running.one(NEW)
    assert pair.after.index == "CREATE INDEX ix_ad_headline ON ad (headline)"
    assert pair.parameters == ["headline = nothing"]
    with psycopg.connect(running.grounds.ground("promptads", "tiny").url) as connection:
        assert connection.execute("SELECT to_regclass('ix_ad_headline')").fetchone() == (None,)


def test_a_shape_that_changes_fails_until_it_is_accepted(running: Running) -> None:
    assert any("--plans-accept" in line for line in running.one(ONE).findings)
    assert running.one(ONE, accept=True).findings[-1] == "accepted: day@postgresql-tiny.json"
    assert running.one(ONE).status == "passed"
    # The index goes on being used, the old one is not there any more: what a migration might do.
    other = ONE.replace("before: drop ix_metric_day_day", "before: drop ix_metric_day_day\n    after: "
                        "[drop ix_metric_day_day, CREATE INDEX ix_other ON metric_day (day)]")  # fmt: skip
    changed = running.one(other.replace("expect:", "expected_from: full\n    expect:"))
    assert changed.status == "failed"
    (wrong,) = changed.mismatches
    assert wrong.startswith("after: the plan has another shape")
    assert "by ix_metric_day_day" in wrong
    assert "by ix_other" in wrong
    assert running.one(other.replace("expect:", "expected_from: full\n    expect:"), accept=True).status == "passed"
    assert running.one(ONE).status == "failed"  # now the old one is the other one


def test_an_index_that_changes_the_answer_fails(running: Running) -> None:
    # No index does: a state that does shows that it would be seen.
    pair = running.one(
        "  bad:\n    query: SELECT id FROM ad\n    before: DELETE FROM metric_day\n"
        '    after: "CREATE FUNCTION f() RETURNS int RETURN 1"\n'
    )
    assert pair.status == "passed"
    lost = running.one(
        "  bad:\n    query: SELECT ad_id FROM metric_day\n    before: DELETE FROM metric_day\n    after: none\n"
    )
    assert any(line.startswith("an index changes no answer: 0 rows before, ") for line in lost.mismatches)


def test_pairs_of_one_name_have_each_a_folder(running: Running) -> None:
    first, second = running(ONE)[0], running(ONE)[0]
    assert second.pair.folder == f"{first.pair.folder}-2"
    assert first.pair.id == second.pair.id


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        (
            "drop ix_metric_day_day",
            "drop ix_metric_dya",
            "9:5",
            "before: there is no index 'ix_metric_dya' here, did you mean",
        ),
        (
            "drop ix_metric_day_day",
            "DROP INDEX nowhere",
            "9:5",
            'before: PostgreSQL says 42704 index "nowhere" does not exist',
        ),
        ("SELECT sum(cost)", "SELECT sum(costs)", "8:5", 'query: PostgreSQL says 42703 column "costs" does not exist'),
        ("'2025-12-01'", "'yesterday or so'", "8:5", "query: PostgreSQL says 22007"),
    ],
)
def test_what_the_server_refuses_is_told_with_its_place(
    running: Running, old: str, new: str, where: str, said: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        running(ONE.replace(old, new, 1))
    text = str(caught.value)
    assert f"ads.yaml:{where}: day[promptads@postgresql-standin]: {said}" in text
    assert "\n" not in text


def test_an_engine_that_the_query_says_nothing_for_is_skipped_with_the_reason(running: Running) -> None:
    file = running.folder / "only.yaml"
    file.write_text(HEAD + "  one:\n    query: {sqlserver: SELECT 1}\n    before: drop ix_ad_campaign_id\n", "utf-8")
    (trial,) = Plans(running.suite).trials(file)
    assert trial.reason == "the query says nothing for postgresql, where promptads is here"


def test_mongodbs_pairs_count_documents(running: Running) -> None:
    pair = running.one(
        "  tagged:\n    query: {mongodb: {find: content, filter: {hashtags: '${tag}'}}}\n    parameters: {tag: '#playa'}\n"
        "    before: drop hashtags\n    after: none\n"
        "    expect: {mongodb: {on: content, before: scan, after: {access: seek, index: hashtags}, examined: fewer}}\n",
        head=HEAD.replace("promptads", "promptcontent"),
    )
    assert (pair.status, pair.id) == ("passed", "tagged[promptcontent@mongodb-standin-tiny]")
    assert pair.before.plan.examined == 12


# -- where pairs are run


def test_sizes_by_what_the_seeder_has_noted() -> None:
    assert size_of({"clients": 200, "campaigns": 20, "contents": 12}) == ("tiny", 200)
    assert size_of({"clients": 201, "campaigns": 20, "contents": 12}) == ("201 clients", 201)


def test_kept_data_is_used_in_place_and_left_as_it_was(suite: Suite, tmp_path: Path) -> None:
    made = suite.databases.make("promptads", (), furnishing=seeded("tiny"))
    there = Suite(
        Settings(root=tmp_path, results=tmp_path / "results",
                 environ={"PROMPTADS_URL": made.url, "PROMPTSALES_SERVERS": "external"})
    )  # fmt: skip
    file = tmp_path / "ads.yaml"
    file.write_text(HEAD.replace("tiny", "full") + ONE, encoding="utf-8")
    try:
        plans = Plans(there, kept=True)
        (trial,) = plans.trials(file)
        pair = plans.run(trial).pair
        assert (pair.size, pair.status) == ("tiny", "passed")
        assert "not judged: what is expected holds from the size full on" in pair.findings
        with psycopg.connect(made.url) as connection:
            assert connection.execute("SELECT to_regclass('ix_metric_day_day') IS NOT NULL").fetchone() == (True,)
    finally:
        there.close()
        suite.databases.drop(made)


def test_kept_data_that_nobody_has_seeded_is_said(suite: Suite) -> None:
    made = suite.databases.make("promptads", ())
    there = Suite(Settings(root=Path(), results=Path(), environ={"PROMPTADS_URL": made.url}, mode="external"))
    try:
        with pytest.raises(DataError, match="'harness seed' has not filled it: harness up, harness seed full"):
            Grounds(there.databases, kept=True).ground("promptads", "small")
    finally:
        there.close()
        suite.databases.drop(made)


@pytest.mark.parametrize(
    ("url", "engine", "full"),
    [
        ("mongodb://h:1/?directConnection=true", "mongodb", "mongodb://h:1/promptcontent?directConnection=true"),
        ("mongodb://h:1/mine", "mongodb", "mongodb://h:1/mine"),
        ("postgresql://h/x", "postgresql", "postgresql://h/x"),
    ],
)
def test_the_database_that_seeded_data_lies_in(url: str, engine: str, full: str) -> None:
    assert data_url(Target("promptcontent", engine, url)) == full


def test_a_kept_plan_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "plans" / "x"
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps({"id": 5}), "utf-8")
    with pytest.raises(HarnessError, match=r"plans\.json cannot be read"):
        read_pairs(tmp_path)
