from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from harness.report import assets
from harness.report.page import report_html
from harness.report.reading import paired

from .samples import SAMPLES, cascade, hidden, lost_update, many_steps, nasty, run_of

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page, and minds that what is opened is closed in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text.append(data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, given in attrs:
            if name == "id":
                self.ids.append(given or "")
            elif name in ("href", "src", "xlink:href", "action", "data"):
                self.links.append(given or "")
            elif name.startswith("on"):
                self.handlers.append(name)


@pytest.fixture(scope="module")
def html() -> str:
    evidences = [make() for make in SAMPLES.values()]
    return report_html(run_of(evidences), evidences)


def test_it_is_well_formed(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert html.count('class="psh"') + 2 * without_own(html).count("data-pack=") == 2 * len(SAMPLES)


OWN = [assets.FIRST, assets.script("charts.js", "page.js")]


def without_own(html: str) -> str:
    """The page without the scripts that are its own."""
    for script in OWN:
        assert html.count(f"<script>{script}</script>") == 1
        html = html.replace(f"<script>{script}</script>", "")
    return html


def test_it_needs_no_network_and_runs_no_script_but_its_own(html: str) -> None:
    page = Page(html)
    assert page.scripts == OWN
    assert page.tags.count("script") == len(OWN)
    assert "link" not in page.tags
    assert page.handlers == []
    assert all(re.fullmatch(r"#[\w-]+|case-\d+/(evidence\.json|timeline\.svg|waits\.svg)", link) for link in page.links)
    bare = without_own(html)
    assert "@import" not in bare
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", bare))


def test_its_policy_lets_in_nothing_but_what_it_carries(html: str) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    told = dict(part.strip().split(" ", 1) for part in unescape(policy).split(";"))
    assert told["default-src"] == "'none'"
    assert told["base-uri"] == told["form-action"] == "'none'"
    assert set(told) == {"default-src", "style-src", "script-src", "base-uri", "form-action"}

    def hashes(texts: list[str]) -> list[str]:
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]

    assert told["script-src"].split() == hashes(OWN)
    assert told["style-src"].split() == hashes(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))


def test_no_element_has_a_style_of_its_own_which_the_policy_would_refuse(html: str) -> None:
    assert not re.search(r"<[a-z][^>]*\sstyle=", without_own(html))


def test_ids_are_single_and_links_lead_somewhere(html: str) -> None:
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert {target[1:] for target in re.findall(r"url\(([^)]*)\)", without_own(html))} <= set(page.ids)


def test_what_came_from_outside_is_text(html: str) -> None:
    assert "<script" not in without_own(html)
    assert "<img" not in html
    assert "\x1b" not in html
    text = " ".join(Page(html).text)
    assert '<script>alert("summary")</script>' in text
    assert "&amp; stays &amp;" in text
    assert "</td></table><script>" in text


def test_it_says_what_ran_where(html: str) -> None:
    text = " ".join(" ".join(Page(html).text).split())
    for said in (
        "run k3x9",
        "9 passed",
        "3 failed",
        "2 not judged",
        "promptads@postgresql-standin",
        "stand-in, not SQL Server",
        "stand-in, not MongoDB",
        "harness 0.1.0",
        "servers=embedded",
        "hidden deadlock",
        "really at read committed",
        "Process 4102 waits for ShareLock",
        "lost update (P4) was expected to be absent",
        "no serial order of T1 and T2",
    ):
        assert said in text, said


def test_it_is_the_same_each_time(html: str) -> None:
    evidences = [make() for make in SAMPLES.values()]
    assert report_html(run_of(evidences), evidences) == html


def test_the_same_case_of_two_schedules_shares_no_id() -> None:
    one = hidden()
    history = one.history.model_copy(update={"schedule": "all:2", "case": one.history.case[:-1] + "-all_2]"})
    two = one.model_copy(update={"history": history})
    page = Page(report_html(run_of([one, two]), [one, two]))
    assert len(page.ids) == len(set(page.ids))


def test_many_cases_in_a_cell_are_counted() -> None:
    evidences = []
    for i in range(9):
        one = lost_update() if i % 3 == 0 else many_steps(2, 1)
        case = f"lost_update[{i}]"
        history = one.history.model_copy(
            update={"case": case, "scenario": "s", "databases": cascade().history.databases}
        )
        history = history.model_copy(update={"level": "read committed"})
        evidences.append(one.model_copy(update={"history": history}))
    text = " ".join(Page(report_html(run_of(evidences), evidences)).text)
    assert "3 failed" in text
    assert "6 passed" in text


@pytest.mark.parametrize("run", [{}, {"run": "x", "cases": [], "seconds": None}])
def test_a_run_of_nothing_has_a_page(run: dict[str, object]) -> None:
    assert "No case ran." in " ".join(Page(report_html(run, [])).text)


def test_a_case_without_its_evidence_is_listed() -> None:
    run = run_of([cascade(), nasty()])
    text = " ".join(Page(report_html(run, [cascade()])).text)
    assert "Its evidence was not at hand" in text
    assert "2 cases" in text


def test_evidence_that_the_run_does_not_list_is_shown_too() -> None:
    assert "A cascade deadlock" in report_html({}, [cascade()])


def test_two_files_of_one_name_keep_their_own_results() -> None:
    one = lost_update()
    history = one.history.model_copy(update={"file": "scenarios/other/same_name.yaml"})
    verdict = one.verdict.model_copy(update={"anomalies": [], "summary": "no anomaly, as expected"})
    other = one.model_copy(update={"history": history, "verdict": verdict})
    page = Page(report_html(run_of([one, other]), [other, one]))
    text = " ".join(" ".join(page.text).split())
    assert text.count(one.verdict.summary) == text.count("no anomaly, as expected") > 0
    assert one.history.file in text
    assert "scenarios/other/same_name.yaml" in text
    assert len(page.ids) == len(set(page.ids))
    assert [found for _, found in paired(run_of([one, other]), [other, one])] == [one, other]
