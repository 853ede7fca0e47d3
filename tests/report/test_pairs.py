from __future__ import annotations

from pathlib import Path

from harness.plans.model import Timing
from harness.report.page import Extras, report_html
from harness.report.pairs import access, gain, pair_views

from .beside import hostile_pair, kept_run, load_result, pair, series
from .test_page import Page, without_own


def test_both_sides_stand_beside_each_other() -> None:
    (view,) = pair_views([pair()])
    assert view.access == "scan → seek"
    assert view.gain == "125× faster"
    rows = {row.name: (row.before, row.after, row.ratio) for row in view.figures}
    assert rows["time, median of 7 warm runs, ms"] == ("190", "1.52", "÷ 125")
    assert rows["buffers touched"] == ("20,455", "204", "÷ 100")
    assert rows["rows given back"] == ("441", "441", "")
    assert rows["buffers from disk"] == ("311", "0", "")
    assert "index keys examined" not in rows  # neither side has any
    assert access(pair(backwards=True).after.plan) == "scan"


def test_times_of_which_runs_overlap_are_no_gain() -> None:
    one = pair()

    def timed(least: float, median: float, most: float) -> str:
        timing = Timing(runs=7, median=median, least=least, most=most)
        return gain(one.model_copy(update={"after": one.after.model_copy(update={"timing": timing})}))

    assert timed(100, 120, 182) == "no clear difference"
    assert timed(100, 120, 180) == "1.58× faster"
    assert timed(205, 260, 300) == "1.37× slower"


def test_raw_plans_are_linked_and_it_says_what_opens_them(tmp_path: Path) -> None:
    folder = kept_run(tmp_path, "1", [], pairs=[pair()])
    page = Page((folder / "report.html").read_text("utf-8"))
    raw = [link for link in page.links if link.startswith("plans/")]
    assert len(raw) == 2
    assert all((folder / link).is_file() for link in raw)
    assert "pev2" in " ".join(page.text)


def test_without_cases_there_is_no_matrix(tmp_path: Path) -> None:
    folder = kept_run(tmp_path, "1", [], pairs=[pair()])
    text = " ".join(Page((folder / "report.html").read_text("utf-8")).text)
    assert "Which isolation" not in text
    assert "No case ran." not in text


def test_hostile_plans_stay_text() -> None:
    html = report_html({"run": "1"}, [], extras=Extras(pairs=[hostile_pair()]))
    bare = without_own(html)
    for markup in ("<script", "<img", "\x1b"):
        assert markup not in bare
    assert Page(html).open == []


def test_what_ran_is_said_of_plans_and_load_alone_too(tmp_path: Path) -> None:
    result = load_result(seconds=8)
    failed = result.model_copy(update={"status": "failed", "mismatches": ["p95 was to be below 10 ms"]})
    folder = kept_run(tmp_path, "1", [], pairs=[pair()], loads=[failed], watched=[series("promptads")])
    text = " ".join(" ".join(Page((folder / "report.html").read_text("utf-8")).text).split())
    for said in (
        "✓ 1 passed ✗ 1 failed",
        "132.4 s, 1 pair of plans, 1 load run",
        "promptads@postgresql-standin, PostgreSQL 18.6 stand-in, not SQL Server",
        "promptcrm@postgresql-standin, 18.6 stand-in, not SQL Server",
        "promptsales@postgresql",
        "Not as expected ✗ failed december p95 was to be below 10 ms",
    ):
        assert said in text, said


def test_what_was_not_met_is_told_shortly_first() -> None:
    long = pair(status="failed").model_copy(update={"mismatches": ["another shape\naccepted:\n  Limit", "x" * 900]})
    html = report_html({"run": "1"}, [], extras=Extras(pairs=[long]))
    first = html.partition("Not as expected</h2>")[2].partition("</table>")[0]
    assert "another shape; xxx" in first
    assert "Limit" not in first
    assert len(first) < 900
    assert "  Limit" in html
