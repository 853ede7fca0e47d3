"""What a case's page holds: limits of long ones, packed pictures, plans of its steps."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import pytest

from harness.history import StepPlan
from harness.report.cases import MOST_STEPS, Case, case_of, family_of, pack
from harness.report.page import report_html

from .samples import cascade, lost_update, many_steps, run_of
from .test_page import Page, without_own

PLAN = (
    '[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "budgets", "Plan Rows": 3, "Actual Rows": 3, "Actual Loops": 1,'
    ' "Actual Total Time": 0.2, "Total Cost": 1.0}, "Execution Time": 0.3}]'
)


def made(*evidences: object) -> list[Case]:
    entries = run_of(list(evidences))["cases"]  # type: ignore[arg-type]
    return [case_of(n, entry, one) for n, (entry, one) in enumerate(zip(entries, evidences, strict=True), 1)]  # type: ignore[arg-type]


def test_families_are_folders() -> None:
    assert family_of("scenarios/deadlock/cascade.yaml") == "deadlock"
    assert family_of(r"C:\x\scenarios\deadlock\cascade.yaml") == "deadlock"
    assert family_of("scenarios/mine.yaml") == family_of("mine.yaml") == family_of("") == ""


def test_of_a_very_long_case_the_first_statements_are_shown() -> None:
    (case,) = made(many_steps(8, 100))
    assert len(case.steps) == MOST_STEPS
    assert case.cut_steps == 800 + 100 - MOST_STEPS
    html = report_html(run_of([many_steps(8, 100)]), [many_steps(8, 100)])
    assert f"The first {MOST_STEPS} of them; all are in evidence.json." in html


def unpacked(text: str) -> list[str]:
    return zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS).decode().split("\0")


def test_pictures_beyond_the_room_are_packed_those_that_failed_last() -> None:
    cases = made(cascade(), cascade(), lost_update())
    assert [case.status for case in cases] == ["passed", "passed", "failed"]
    room = len(cases[2].timeline) + len(cases[2].waits) + len(cases[0].timeline) + len(cases[0].waits)
    pack(cases, room)
    assert [bool(case.packed) for case in cases] == [False, True, False]
    assert unpacked(cases[1].packed) == [cases[1].timeline, cases[1].waits]
    assert cases[1].pictured
    none_left = made(cascade(), lost_update())
    pack(none_left, 0)
    assert all(case.packed for case in none_left)


def test_a_packed_picture_leads_to_its_file_only_if_there_is_one() -> None:
    # Of a run of more than 400 events none is kept beside the evidence.
    evidences = [many_steps(4, 10), many_steps(8, 100)]
    cases = made(*evidences)
    pack(cases, 0)
    assert [case.pictured for case in cases] == [True, False]
    page = without_own(report_html(run_of(evidences), evidences))
    assert page.count("The statements below tell the same.") == 1


@pytest.fixture
def with_plans() -> str:
    evidence = cascade()
    had = {"database": "sales", "engine": "postgresql", "way": "auto_explain", "format": "json"}
    plans = [
        StepPlan(session="T1", step="T1.own", text=PLAN, **had),
        StepPlan(session="T2", step="T2.own", text="{", **had),
        StepPlan(session="T3", step="T3.own", database="sales", engine="postgresql", note="<b>no</b> right to see it"),
    ]
    one = evidence.model_copy(update={"history": evidence.history.model_copy(update={"plans": plans})})
    other = one.model_copy(update={"history": one.history.model_copy(update={"case": "again[x]"})})
    return report_html(run_of([one, other]), [one, other])


def test_plans_of_steps_are_drawn_and_say_how_they_were_had(with_plans: str) -> None:
    page = Page(with_plans)
    text = " ".join(" ".join(page.text).split())
    assert "Plan of T1.own, T1 on sales" in text
    assert "How it was come by: auto_explain" in text
    assert "Seq Scan" in text
    assert "<b>no</b> right to see it" in text
    assert with_plans.count('class="psh"') == 2 * (
        2 + 1
    )  # what is no plan is shown as text, what is not there as a word


def test_plans_of_two_cases_share_no_id(with_plans: str) -> None:
    ids = re.findall(r'\bid="([^"]*)"', without_own(with_plans))
    assert len(ids) == len(set(ids))
    labelled = re.findall(r'aria-labelledby="([^"]*)"', with_plans)
    assert {one for names in labelled for one in names.split()} <= set(ids)


def test_what_the_page_carries_is_in_the_package() -> None:
    folder = Path(__file__).parents[2] / "harness/report/templates"
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    for suffix in {file.suffix for file in folder.iterdir()}:
        assert f'"**/*{suffix}"' in text
