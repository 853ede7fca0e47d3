"""Random workloads as tests: ids, the mark, JUnit's properties, failures without a traceback, workers."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from .conftest import Project

LISTS = """
title: Lists, at random
workload: list-append
database: [promptsales, promptads]
transactions: 150
levels: {postgresql: [read committed, serializable]}
expect: {postgresql: {read committed: {finds: G-single, level: read committed}, serializable: nothing}}
"""
ELSEWHERE = "title: x\nworkload: bank\ndatabase: promptads\nexpect: {sqlserver: nothing}\n"
IDS = [
    "lists[promptsales@postgresql-read_committed]",
    "lists[promptsales@postgresql-serializable]",
    "lists[promptads@postgresql-standin-read_committed]",
    "lists[promptads@postgresql-standin-serializable]",
]


@pytest.fixture
def lists(project: Project) -> Project:
    project.scenario("lists", LISTS)
    project.scenario("elsewhere", ELSEWHERE)
    project.scenario("other")
    return project


def test_each_database_and_level_is_a_test_that_the_mark_selects(lists: Project) -> None:
    result = lists.run("--collect-only", "-q", "-m", "random")
    ids = [line for line in result.outlines if "::" in line]
    assert ids == ["scenarios/elsewhere.yaml::elsewhere[promptads@postgresql-standin]"] + [
        f"scenarios/lists.yaml::{one}" for one in IDS
    ]


def test_they_pass_are_skipped_with_the_reason_and_say_where_the_evidence_is(lists: Project) -> None:
    result = lists.run("-m", "random", "-rs", "--junitxml=junit.xml")
    result.assert_outcomes(passed=4, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["*runs only on sqlserver; promptads is on postgresql here, a stand-in for sqlserver*"])
    cases = ElementTree.parse(lists.path / "junit.xml").getroot().iter("testcase")
    (case,) = (one for one in cases if one.get("name") == IDS[0])
    properties = {one.get("name"): str(one.get("value")) for one in case.iter("property")}
    assert properties["verdict"].startswith("passed: ")
    assert "G-single" in properties["verdict"]
    kept = json.loads((lists.path / properties["evidence"]).read_text("utf-8"))
    assert kept["id"] == IDS[0]
    assert "Random workloads" in (lists.path / "results" / "latest" / "report.html").read_text("utf-8")


def test_what_is_not_as_expected_fails_with_the_proof_and_needs_no_traceback(lists: Project) -> None:
    lists.scenario("lists", LISTS.replace("{finds: G-single, level: read committed}", "{level: snapshot isolation}"))
    result = lists.run("-m", "random", "-k", "lists and promptsales and read_committed")
    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines(
        [
            "Lists, at random",
            "expected: nothing that excludes snapshot isolation",
            "*which snapshot isolation does not allow*",
            "*a contradiction!*",
            "again: harness workload run scenarios/lists.yaml -k '*'",
            "evidence: results/*/workload.json",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "plugin_workloads.py" not in result.stdout.str()


def test_a_wrong_file_is_a_collection_error_with_its_place(lists: Project) -> None:
    lists.scenario("lists", LISTS.replace("transactions:", "transaction:"))
    result = lists.run("-m", "random")
    result.stdout.fnmatch_lines(["*scenarios/lists.yaml:5:1: unknown key 'transaction', did you mean 'transactions'?*"])


def test_workers_share_a_run(lists: Project) -> None:
    result = lists.run("-m", "random", "-n", "2")
    result.assert_outcomes(passed=4, skipped=1)
    run = json.loads((lists.path / "results" / "latest" / "run.json").read_text("utf-8"))
    assert len(run["workloads"]) == 4
