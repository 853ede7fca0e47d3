"""Pairs of plans as tests: ids, marks, JUnit's properties, failures without a traceback, accepted shapes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from .conftest import Project

PAIRS = """
title: Ads by day
database: promptads
data: tiny
runs: 1
plans:
  day:
    query: "SELECT sum(cost) FROM metric_day WHERE day = '2025-12-01'"
    before: drop ix_metric_day_day
    expect: {postgresql: {before: scan, after: {access: seek, index: ix_metric_day_day}}}
  elsewhere:
    query: {sqlserver: SELECT 1 AS one}
    before: drop ix_ad_campaign_id
"""
ID = "day[promptads@postgresql-standin]"


@pytest.fixture
def pairs(project: Project) -> Project:
    project.scenario("ads", PAIRS)
    project.scenario("other")
    return project


def test_a_pair_is_a_test_that_the_mark_selects(pairs: Project) -> None:
    result = pairs.run("--collect-only", "-q", "-m", "plans")
    ids = [line for line in result.outlines if "::" in line]
    assert ids == [f"scenarios/ads.yaml::{ID}", "scenarios/ads.yaml::elsewhere[promptads@postgresql-standin]"]


def test_it_passes_is_skipped_with_the_reason_and_says_where_its_plans_are(pairs: Project) -> None:
    result = pairs.run("-m", "plans", "-rs", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["*the query says nothing for postgresql, where promptads is here*"])
    cases = ElementTree.parse(pairs.path / "junit.xml").getroot().iter("testcase")
    (case,) = (one for one in cases if one.get("name") == ID)
    properties = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert properties["verdict"] == "passed"
    kept = json.loads((pairs.path / str(properties["evidence"])).read_text("utf-8"))
    assert kept["findings"][0] == "metric_day: scan → seek (ix_metric_day_day)"
    assert (pairs.path / "results" / "latest" / "report.html").is_file()


def test_what_is_not_as_expected_fails_and_needs_no_traceback(pairs: Project) -> None:
    pairs.scenario("ads", PAIRS.replace("before: scan", "before: seek"))
    result = pairs.run("-m", "plans")
    result.assert_outcomes(failed=1, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["Ads by day", "*what is not as expected:*", "*before: expected metric_day to be read by seek, it was scan*",
         "evidence: results/*/plans/day@promptads-postgresql-standin-tiny/plans.json"]
    )  # fmt: skip
    assert "Traceback" not in result.stdout.str()
    assert "plugin_plans.py" not in result.stdout.str()


def test_a_shape_that_has_changed_fails_with_both_trees_until_it_is_accepted(pairs: Project) -> None:
    pairs.run("-m", "plans", "--plans-accept").assert_outcomes(passed=1, skipped=1, deselected=1)
    file = pairs.path / "scenarios" / "accepted" / "ads" / "day@postgresql-tiny.json"
    accepted = file.read_text("utf-8")
    pairs.run("-m", "plans").assert_outcomes(passed=1, skipped=1, deselected=1)
    file.write_text(accepted.replace("ix_metric_day_day", "ix_of_old"), encoding="utf-8")
    result = pairs.run("-m", "plans")
    result.assert_outcomes(failed=1, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["*after: the plan has another shape than the accepted one*", "*accepted (PostgreSQL *", "*by ix_of_old*",
         "*today:*", "*by ix_metric_day_day*"]
    )  # fmt: skip
    pairs.run("-m", "plans", "--plans-accept").assert_outcomes(passed=1, skipped=1, deselected=1)
    assert file.read_text("utf-8") == accepted


def test_a_wrong_file_is_one_error_with_its_place(pairs: Project) -> None:
    pairs.scenario("ads", PAIRS.replace("before: scan", "before: scam"))
    result = pairs.run("-m", "plans", "--collect-only")
    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(["*ads.yaml:10:*: unknown access 'scam', did you mean 'scan'*"])
    assert "Traceback" not in result.stdout.str()


def test_a_server_that_refuses_is_a_failure_of_one_line(pairs: Project) -> None:
    pairs.scenario("ads", PAIRS.replace("drop ix_metric_day_day", "drop ix_metric_dya"))
    result = pairs.run("-m", "plans")
    result.assert_outcomes(failed=1, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["*ads.yaml:9:5: day*: before: there is no index 'ix_metric_dya' here, did you mean*"])
    assert "plugin_plans.py" not in result.stdout.str()


def test_workers_of_xdist_keep_theirs_in_one_run(pairs: Project) -> None:
    more = PAIRS.replace("day:\n    query", "again:\n    query")
    pairs.scenario("more", more)
    result = pairs.run("-m", "plans", "-n", "2")
    result.assert_outcomes(passed=2, skipped=2)
    folder = pairs.path / "results" / "latest" / "plans"
    assert sorted(one.name.partition("@")[0] for one in folder.iterdir()) == ["again", "day"]


def test_a_folder_that_cannot_be_written_is_said_once(pairs: Project) -> None:
    Path(pairs.path / "results").write_text("a file", encoding="utf-8")
    result = pairs.run("-m", "plans")
    assert result.ret != 0
    assert "Traceback" not in result.stdout.str()
