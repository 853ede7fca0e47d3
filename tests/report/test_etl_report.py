"""The ETL's rounds on the page, and kept in results/."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.etl.keep import keep
from harness.etl.kept import EtlRecord, read_records, record
from harness.etl.log import Quarantined
from harness.etl.model import Round
from harness.evidence.store import read_run
from harness.load.keep import open_suite
from harness.report.compare import previous
from harness.report.etl import MOST_ROUNDS, etl_views
from harness.report.page import Extras, report_html
from harness.report.whole import whole_report
from harness.spread import pack, unpack
from harness.suite import Suite

from .beside import HOSTILE, kept_run, pair
from .etls import QUARANTINE, failed_run, sample, some_rounds, source_run
from .test_page import Page, run_of, without_own


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Instead of the run's own: what is kept here is no result of it."""
    return open_suite(tmp_path, "run1")


def page_of(*records: EtlRecord) -> str:
    return report_html({"run": "1"}, [], extras=Extras(etl=list(records)))


@pytest.fixture(scope="module")
def html() -> str:
    return page_of(sample(), record("other", some_rounds(6)[4:], title="a source is down"))


def text_of(html: str) -> str:
    return " ".join(" ".join(Page(html).text).split())


def test_it_is_well_formed_and_carries_nothing_else(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.handlers == []
    assert "style=" not in without_own(html)
    for link in page.links:
        assert link.startswith("#")
        assert link[1:] in page.ids


def test_the_runs_of_each_round(html: str) -> None:
    text = text_of(html)
    assert "Round 12 2026-07-25 12:43:07 UTC, 3.0 s, 1,118 rows moved" in text
    assert "promptcrm ✓ succeeded 1,483 493 493 74 3 2.40 712:717:714 812:817:" in text
    assert "promptads ✗ failed 0 0 0 0 0 2.40 705:710:707 Connection to 127.0.0.1:5433 refused" in text
    assert "Earlier rounds (11)" in text


def test_the_first_window_begins_at_the_beginning() -> None:
    assert "the beginning 801:806:" in text_of(page_of(record("one", some_rounds(1))))


def test_quarantine_by_reason(html: str) -> None:
    text = text_of(html)
    assert "there is no campaign 4711 in promptads" in text
    assert "sale 81, sale 92, sale 93, sale 104, sale 7, …" in text
    assert "1784975467000-0, …" not in text, "there are no more of these"


def test_the_picture_says_itself_and_marks_what_failed(html: str) -> None:
    svg = re.findall(r'<svg class="rounds".*?</svg>', html)[0]
    assert svg.count('class="cross"') == 2
    assert svg.count("<title>") == 12 * 4
    assert "promptads: failed: Connection to 127.0.0.1:5433 refused" in svg
    assert 'aria-label="Rows moved by round: 1: 934,120; ' in svg
    assert svg.count('class="own"') == 1, "the round that is meant, among earlier ones"


def test_the_picture_has_heights_by_powers_of_ten() -> None:
    runs = (source_run(1, "promptads", inserted=9), source_run(1, "promptcrm", inserted=99), source_run(1, "cache"))
    (view,) = etl_views([record("one", [Round(1, runs)])])
    nine, many, none = (float(h) for h in re.findall(r'<rect class="c\d"[^>]* height="([\d.]+)"', str(view.picture)))
    assert many == pytest.approx(2 * nine, abs=0.2)
    assert 0 < none < 2


def test_of_many_rounds_the_last_ones_are_drawn_and_all_are_told() -> None:
    html = page_of(record("many", some_rounds(MOST_ROUNDS + 20)))
    svg = re.findall(r'<svg class="rounds".*?</svg>', html)[0]
    assert svg.count("<title>") == MOST_ROUNDS * 4
    assert f"the last {MOST_ROUNDS} of {MOST_ROUNDS + 20}" in text_of(html)
    assert html.count('class="round"') == MOST_ROUNDS + 20


def test_what_failed_is_on_the_overview_if_it_was_to_succeed() -> None:
    runs = [Round(1, (source_run(1, "promptcontent"), failed_run(1, "promptads", "it is down")))]
    failed = page_of(record("mine", runs, title="Round 1", status="failed"))
    assert "Not as expected" in failed
    assert "round 1, promptads: it is down" in text_of(failed)
    assert "1 failed" in re.findall("<title>(.*?)</title>", failed)[0]
    told = page_of(record("mine", runs, title="Round 1"))
    assert "Not as expected" not in told
    assert "0 failed" in re.findall("<title>(.*?)</title>", told)[0]


def test_the_overview_counts(html: str) -> None:
    text = text_of(html)
    assert "3 rounds of the ETL" in text
    assert "No case ran." not in text
    assert "promptsales@postgresql" in text
    assert "promptads@postgresql-standin stand-in, not SQL Server" in text


def test_what_came_from_outside_is_text() -> None:
    runs = (
        failed_run(1, HOSTILE, HOSTILE, window_from=HOSTILE),
        source_run(1, "promptads", message=HOSTILE, window_to=HOSTILE),
    )
    quarantine = [Quarantined(HOSTILE, HOSTILE, 1, (HOSTILE,))]
    made = record(HOSTILE, [Round(1, runs)], quarantine, title=HOSTILE, database=HOSTILE, notes=[HOSTILE])
    html = page_of(made)
    bare = without_own(html)
    for markup in ("<script", "<img", "\x1b"):
        assert markup not in bare
    assert Page(html).open == []


def test_a_run_without_the_etl_says_nothing_of_it() -> None:
    html = report_html(run_of([]), [])
    assert "ETL" not in text_of(html)
    assert 'id="etl' not in html


def test_a_round_without_an_end_and_one_without_runs() -> None:
    running = source_run(1, "cache", status="running", finished_at=None, window_to=None)
    text = text_of(page_of(record("mine", [Round(1, (running,)), Round(2, ())])))
    assert "… running" in text
    assert "Round 2" in text


# -- kept


def test_rounds_are_kept_as_they_are(tmp_path: Path) -> None:
    suite = open_suite(tmp_path, "run1")
    made = sample()
    path = keep(suite, made)
    assert path == suite.store.folder / "etl" / "round-12" / "etl.json"
    assert keep(suite, made).parent.name == "round-12-2"
    assert read_records(suite.store.folder) == [made, made]
    (run,) = [run for run in made.rounds[-1].runs if run.source == "promptcrm"]
    (original,) = [run for run in some_rounds(12)[-1].runs if run.source == "promptcrm"]
    assert (run.moved, run.seconds, run.window_from) == (original.moved, original.seconds, original.window_from)
    assert [one.earlier for one in made.rounds] == [True] * 11 + [False]
    assert [(one.source, one.count) for one in made.quarantine] == [(one.source, one.count) for one in QUARANTINE]


def test_rounds_of_a_test_on_another_machine_come_home(tmp_path: Path) -> None:
    away = open_suite(tmp_path / "there", "run1")
    away.settings.away = True
    keep(away, sample())
    told = pack(away.outgoing(), away.store.folder, str)
    home = open_suite(tmp_path / "here", "run1")
    unpack(told, home, str)
    assert read_records(home.store.folder) == [sample()]
    told["beside"][0]["text"] = '{"name": 5}'
    with pytest.raises(StoreError, match="from another machine cannot be read"):
        unpack(told, home, str)


def test_the_fixture_keeps_a_tests_rounds(suite: Suite, etl_rounds: Callable[..., Path]) -> None:
    path = etl_rounds(some_rounds(2), QUARANTINE, title="of a test")
    made = EtlRecord.model_validate_json(path.read_text("utf-8"))
    assert (made.name, made.title, len(made.rounds)) == ("test_the_fixture_keeps_a_tests_rounds", "of a test", 2)
    assert path.is_relative_to(suite.store.folder)


def test_the_first_one_begun_comes_first(tmp_path: Path) -> None:
    suite = open_suite(tmp_path, "run1")
    keep(suite, record("a", some_rounds(9)[8:]))
    keep(suite, record("b", some_rounds(2)))
    assert [one.name for one in read_records(suite.store.folder)] == ["b", "a"]


def test_what_cannot_be_read_is_said_on_the_page(tmp_path: Path) -> None:
    suite = open_suite(tmp_path, "run1")
    path = keep(suite, sample())
    path.write_text('{"name": 5}')
    with pytest.raises(StoreError, match=r"etl\.json cannot be read"):
        read_records(suite.store.folder)
    assert "etl.json cannot be read" in text_of(whole_report(suite.store.folder, {"run": "run1"}, []))


def test_a_run_of_rounds_is_compared_with_nothing_and_nothing_with_it(tmp_path: Path) -> None:
    first = kept_run(tmp_path, "1", [], pairs=[pair()])
    suite = open_suite(tmp_path, "2")
    keep(suite, sample())
    page = suite.finish()
    assert page is not None
    assert "Since the run before" not in page.read_text("utf-8")
    run, evidences = read_run(suite.store.folder)
    assert not run["cases"]
    assert evidences == []
    third = kept_run(tmp_path, "3", [], pairs=[pair()])
    assert previous(third) == first


def test_a_round_of_a_message_that_is_none() -> None:
    failed = replace(failed_run(1, "cache"), message=None)
    html = page_of(record("mine", [Round(1, (failed,))], status="failed"))
    assert "round 1, cache: it says not why" in text_of(html)
