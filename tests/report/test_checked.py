from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from harness.evidence.checker.levels import LATTICE
from harness.evidence.checker.model import Found, Observed, Report, Workload
from harness.report.checked import report_html, report_text, verdict

from .test_cycles import SKEW, WRITE_SKEW

REPORT = Report(
    workload=Workload.list_append,
    source="a <b> & c.edn",
    transactions=5,
    operations=1234,
    ok=3,
    failed=1,
    info=1,
    edges={"ww": 1, "rw": 2},
    counts={"G2-item": 12, "G1a": 1},
    found=[
        WRITE_SKEW,
        Found(name="G1a", title="aborted read", transactions=[3], proof=["Let:", "  T3 = {:a <1>}", "Then:"]),
    ],
    excluded=["serializable", "strict serializable"],
    possible=["snapshot isolation"],
    notes=["1 read of x left out <i>"],
)
CLEAN = Report(workload=Workload.bank, transactions=1500, operations=3000, ok=1500, failed=0, info=0, possible=["x"])


def test_in_plain_characters() -> None:
    said = report_text(REPORT)
    assert said.splitlines()[:3] == [
        "a <b> & c.edn",
        "list-append: 5 transactions (3 committed, 1 failed, of 1 nobody knows), 1,234 micro-operations",
        "✗ 12 G2-item, 1 G1a",
    ]
    assert re.search(r"excluded levels +serializable, strict serializable\n", said)
    assert re.search(r"possible at most +snapshot isolation\n", said)
    assert re.search(r"dependencies +1 ww, 2 rw\n", said)
    assert re.search(r"G2-item +write skew +12\n", said)
    assert "2. G1a: aborted read\n   Let:\n     T3 = {:a <1>}\n   Then:\n" in said
    assert "note: 1 read of x left out <i>\n" in said
    assert "\x1b" not in said


def test_nothing_found_is_said_too() -> None:
    said = report_text(CLEAN)
    assert verdict(CLEAN) == "✓ nothing was found in 1,500 transactions"
    assert said.startswith("a history\nbank: 1,500 transactions (1,500 committed), 3,000 micro-operations\n✓ nothing")
    assert re.search(r"excluded levels +none\n", said)


def test_if_no_level_is_left_they_are_not_all_named() -> None:
    said = report_text(REPORT.model_copy(update={"excluded": list(LATTICE), "possible": []}))
    assert re.search(r"excluded levels +all, even read uncommitted\n", said)


def test_a_long_list_has_its_ends_only() -> None:
    long = "  T1 = {:value [[:r 1 [" + " ".join(map(str, range(2000))) + "]] [:append 2 7]]}"
    found = Found(name="G1a", title="", transactions=[1], proof=[long])
    said = " ".join(report_text(REPORT.model_copy(update={"found": [found]})).split())
    assert re.search(r"\[:r 1 \[0 1 2 3 [\d ]+ … [\d ]+ 1998 1999\]\] \[:append 2 7\]", said)
    assert len(said) < 1000
    assert long in report_html(REPORT.model_copy(update={"found": [found]}), SKEW)


def test_many_notes_are_counted() -> None:
    said = report_text(REPORT.model_copy(update={"notes": [f"note {i}" for i in range(50)]}))
    assert "note: note 39\nnote: … and 10 more\n" in said


def test_a_page_of_its_own() -> None:
    page = report_html(REPORT, SKEW)
    assert "<title>Check of a &lt;b&gt; &amp; c.edn</title>" in page
    assert page.count("<svg") == 2
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert ET.fromstring(picture).tag.endswith("svg")
    assert '<a href="#found-1">1</a>' in page
    assert '<h2 id="found-2">2. G1a: aborted read</h2>' in page
    assert "<li>  T3 = {:a &lt;1&gt;}</li>" in page
    assert "1 read of x left out &lt;i&gt;" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_the_page_runs_nothing_and_lets_nothing_in() -> None:
    page = report_html(REPORT, SKEW)
    assert "<script" not in page
    assert " style=" not in page
    assert page.count("<style>") == 1, "the pictures take the page's"
    assert "default-src &#39;none&#39;; style-src &#39;sha256-" in page


def test_a_page_of_nothing_found() -> None:
    page = report_html(CLEAN, Observed(Workload.bank, ()))
    assert "✓ nothing was found in 1,500 transactions" in page
    assert "<h2>Anomalies" not in page
    assert "<svg" not in page
