"""``harness plans``: run, show, draw; and plans among the files of ``harness run`` and ``harness check``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.suite import Suite

from .conftest import Run
from .test_cli import one_line

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
"""
ID = "day[promptads@postgresql-standin"
Plans = Callable[..., "object"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "ads.yaml"
    made.write_text(PAIRS, encoding="utf-8")
    return made


@pytest.fixture
def ads(suite: Suite) -> dict[str, str]:
    return {"PROMPTADS_URL": suite.servers.target("promptads").url, "PROMPTSALES_SERVERS": "external"}


def test_run_and_show(cli: Run, file: Path, ads: dict[str, str]) -> None:
    ran = cli("plans", "run", file.name, **ads)
    assert ran.returncode == 0, ran.stderr
    assert "◀ costs most" in ran.stdout
    assert "• metric_day: scan → seek (ix_metric_day_day)" in ran.stdout
    table = cli("plans", "show")
    assert "day" in table.stdout
    assert "scan → seek" in table.stdout
    tree = cli("plans", "show", "-k", ID)
    assert "Seq Scan on metric_day  [scan]" in tree.stdout
    markdown = cli("plans", "show", "--markdown").stdout
    assert markdown.startswith("| pair |")
    assert "no pair of this run has 'nothing'" in one_line(cli("plans", "show", "-k", "nothing"), 2)


def test_what_fails_ends_with_code_1(cli: Run, file: Path, ads: dict[str, str]) -> None:
    file.write_text(PAIRS.replace("before: scan", "before: seek"), encoding="utf-8")
    ran = cli("plans", "run", "-q", file.name, **ads)
    assert ran.returncode == 1
    assert "✗" in ran.stdout
    file.write_text(PAIRS.replace("drop ix_metric_day_day", "drop ix_x"), encoding="utf-8")
    refused = cli("plans", "run", "-q", file.name, **ads)
    assert refused.returncode == 1
    assert "there is no index 'ix_x' here" in refused.stdout


def test_harness_run_and_check_take_them_too(cli: Run, file: Path, ads: dict[str, str]) -> None:
    ran = cli("run", file.name, "-q", **ads)
    assert ran.returncode == 0, ran.stderr
    assert "scan → seek" in ran.stdout
    checked = cli("check", "files", file.name)
    assert checked.stdout == "ads.yaml: day\n"
    file.write_text(PAIRS.replace("before: scan", "before: scam"), encoding="utf-8")
    wrong = cli("check", "files", file.name)
    assert wrong.returncode == 2
    assert "ads.yaml:10:" in wrong.stderr


def test_accepted_shapes(cli: Run, file: Path, ads: dict[str, str]) -> None:
    accepted = cli("plans", "run", "--plans-accept", file.name, **ads)
    assert "• accepted: day@postgresql-tiny.json" in accepted.stdout
    kept = file.parent / "accepted" / "ads" / "day@postgresql-tiny.json"
    kept.write_text(kept.read_text("utf-8").replace("seek", "scan"), encoding="utf-8")
    changed = cli("plans", "run", file.name, **ads)
    assert changed.returncode == 1
    assert "another shape than the accepted one" in changed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "nowhere.yaml"), 2, "nowhere.yaml: there is no such file or folder"),
        (("run", "other.yaml"), 2, "no file there declares 'plans:'"),
        (("run", "ads.yaml", "--data", "mine"), 2, "--data mine: kept, or nothing"),
        (("run", "ads.yaml", "-k", "nothing"), 2, "no pair has 'nothing' in its id"),
        (("show",), 1, "no run 'latest' in results"),
        (("draw", "nowhere.json"), 1, "nowhere.json: cannot be read"),
        (("draw", "other.yaml"), 3, "not a plan of postgresql"),
        (("draw", "other.yaml", "--engine", "oracle"), 3, "no plans are read of 'oracle'"),
    ],
)
def test_what_goes_wrong_is_one_line(
    cli: Run, file: Path, ads: dict[str, str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    (file.parent / "other.yaml").write_text("title: x\nsessions: {}\n", encoding="utf-8")
    done = cli("plans", *arguments, **ads)
    assert done.returncode != 0
    assert said in done.stderr.splitlines()[0]
    assert len(done.stderr.splitlines()) == 1


def test_any_plan_can_be_drawn(cli: Run, tmp_path: Path) -> None:
    plan = [{"Plan": {"Node Type": "Seq Scan", "Relation Name": "client", "Plan Rows": 5}}]
    (tmp_path / "saved.json").write_text(json.dumps(plan), encoding="utf-8")
    assert "Seq Scan on client" in cli("plans", "draw", "saved.json").stdout
    cli("plans", "draw", "saved.json", "--svg", "picture.svg")
    assert ElementTree.parse(tmp_path / "picture.svg")
    xml = (
        '<?xml version="1.0" encoding="utf-16"?><ShowPlanXML xmlns="http://schemas.microsoft.com/sqlserver/2004/07/showplan">'
        '<QueryPlan><RelOp PhysicalOp="Table Scan" EstimateRows="5"/></QueryPlan></ShowPlanXML>'
    )
    (tmp_path / "saved.sqlplan").write_text(xml, encoding="utf-16")  # as Management Studio saves it
    assert "Table Scan" in cli("plans", "draw", "saved.sqlplan").stdout


def test_the_schema_for_editors(cli: Run) -> None:
    assert json.loads(cli("schema", "plans").stdout)["title"] == "PromptSales Harness plans"
    assert "there is no schema of 'nothing': scenario, plans," in one_line(cli("schema", "nothing"), 2)
