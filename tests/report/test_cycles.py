from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.evidence.checker.check import check
from harness.evidence.checker.model import Edge, Found, MicroOp, Observed, Status, Transaction, Workload
from harness.report.cycles import chip, cycle_svg

SVG = "{http://www.w3.org/2000/svg}"
SKEW = Observed(
    Workload.list_append,
    (
        Transaction(0, 0, Status.ok, (MicroOp("append", "x", 1), MicroOp("r", "y", ())), 0, 2),
        Transaction(1, "bob & <co>", Status.ok, (MicroOp("append", "y", 1), MicroOp("r", "x", ())), 1, 3),
        Transaction(2, 0, Status.ok, (MicroOp("r", "x", (1,)), MicroOp("r", "y", (1,))), 4, 5),
        Transaction(3, 0, Status.fail, (MicroOp("append", "z", 7),), 6, 7, error="refused"),
        Transaction(4, 0, Status.ok, (MicroOp("r", "z", (7,)),), 8, 9),
    ),
    source="by hand",
)
WRITE_SKEW = Found(
    name="G2-item",
    title="write skew",
    transactions=[0, 1],
    cycle=[
        Edge(kind="rw", source=0, target=1, key="y", before="[]", after="1", because="T0 did not observe T1's append"),
        Edge(kind="rw", source=1, target=0, key="x", before="[]", after="1", because="T1 did not observe T0's append"),
    ],
    proof=["Let:", "Then:"],
)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_cycle_shows_who_must_come_before_whom_and_why() -> None:
    svg = cycle_svg(WRITE_SKEW, SKEW)
    said = texts(svg)
    for wanted in (
        "G2-item: write skew", "⟲ T0 → T1 → T0", "T0", "T1", "session 0", "session bob & <co>",
        "append x 1", "r y []", "append y 1", "r x []", "rw y", "rw x", "[] → 1", "T0 did not observe T1's append",
    ):  # fmt: skip
        assert wanted in said
    assert "so T1 must come before T0: a contradiction" in " ".join(said)
    root = ET.fromstring(svg)
    assert root.findtext(f"{SVG}title") == "G2-item: write skew between T0 → T1 → T0"
    described = root.findtext(f"{SVG}desc") or ""
    assert "T0 must come before T1 (rw y): T0 did not observe T1's append." in described
    assert root.get("aria-labelledby", "").split() == [root[0].get("id"), root[1].get("id")]


def test_what_the_cycle_is_about_stands_out() -> None:
    marked = re.findall(r'class="f-amber-ink bold mono">([^<]*)<', cycle_svg(WRITE_SKEW, SKEW))
    assert marked == ["append x 1", "r y []", "append y 1", "r x []"]
    only_x = WRITE_SKEW.model_copy(update={"cycle": [WRITE_SKEW.cycle[1], Edge(kind="process", source=0, target=1)]})
    marked = re.findall(r'class="f-amber-ink bold mono">([^<]*)<', cycle_svg(only_x, SKEW))
    assert marked == ["r x []", "append x 1"]


def test_an_anomaly_without_a_cycle_shows_its_transactions_and_the_proof() -> None:
    found = Found(
        name="G1a", title="aborted read", transactions=[3, 4],
        proof=["Let:", "  T3 = {…}", "Then:", "  - T4 observed 7, which T3 appended, and T3 failed"],
    )  # fmt: skip
    said = texts(cycle_svg(found, SKEW))
    assert {"T3", "T4", "append z 7", "r z [7]", "failed: refused"} <= set(said)
    assert "- T4 observed 7, which T3 appended, and T3 failed" in [one.strip() for one in said]
    assert not any("T3 = " in one or "contradiction" in one for one in said)


def test_a_long_transaction_shows_what_matters_first() -> None:
    many = tuple(MicroOp("append", f"other{i}", i) for i in range(200))
    ops = (*many, MicroOp("append", "x", 1), MicroOp("r", "y", ()))
    long = Observed(Workload.list_append, (Transaction(0, 0, Status.ok, ops, 0, 2), *SKEW.transactions[1:]))
    said = texts(cycle_svg(WRITE_SKEW, long))
    assert {"append x 1", "r y []"} <= set(said)
    assert any(re.fullmatch(r"… \d{3} more", one) for one in said)


def test_a_transaction_that_is_not_there_is_only_named() -> None:
    found = Found(name="G0", title="", transactions=[77, -1], proof=[])
    said = texts(cycle_svg(found, SKEW))
    assert {"T77", "T-1", "not in this history", "G0"} <= set(said)


@pytest.mark.parametrize("number", [1, 2, 3, 40])
def test_a_cycle_of_any_length_is_drawn_whole(number: int) -> None:
    made = tuple(Transaction(i, i, Status.ok, (MicroOp("w", "k", i),), 2 * i, 2 * i + 1) for i in range(number))
    kinds = ("ww", "wr", "rw", "process", "realtime")
    edges = [
        Edge(kind=kinds[i % 5], source=i, target=(i + 1) % number, key="k", because="it is so " * 20)
        for i in range(number)
    ]
    svg = cycle_svg(
        Found(name="G1c", title="t", transactions=list(range(number)), cycle=edges, proof=[]),
        Observed(Workload.rw_register, made),
    )
    root = ET.fromstring(svg)
    width, height = (float(root.get(name, "0")) for name in ("width", "height"))
    assert len(re.findall(r"marker-end", svg)) == number + min(number, 5), "arrows, and the legend's"
    for element in root.iter():
        for name, most in (("x", width), ("y", height)):
            if element.tag in (f"{SVG}rect", f"{SVG}text") and element.get(name):
                assert 0 <= float(element.get(name, "0")) <= most


def test_nothing_comes_from_outside_and_nothing_breaks_out() -> None:
    nasty = '</text><script>alert("x")</script>\x1b[31m\n&'
    observed = Observed(
        Workload.rw_register,
        (Transaction(0, nasty, Status.info, (MicroOp("w", nasty, nasty),), 0, 1, error=nasty),),
        source=nasty,
    )
    edge = Edge(kind="ww", source=0, target=0, key=nasty, before=nasty, after=nasty, because=nasty)
    svg = cycle_svg(Found(name=nasty, title=nasty, transactions=[0], cycle=[edge], proof=[nasty]), observed)
    assert not list(ET.fromstring(svg).iter(f"{SVG}script"))
    assert "\x1b" not in svg
    assert not re.search(r"(?:href|src|url\((?!#))", svg.replace(nasty, ""))


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (MicroOp("r", "x"), "r x nil"),
        (MicroOp("r", 5, tuple(range(30))), "r 5 [… 20 21 22 23 24 25 26 27 28 29]"),
        (MicroOp("w", "acct 1", (90, "T1")), 'w acct 1 [90 "T1"]'),
        (MicroOp("inc", "k", (-2, None)), "inc k -2 → ?"),
    ],
    ids=["unknown", "long", "pair", "increment"],
)
def test_a_micro_operation_in_short(op: MicroOp, said: str) -> None:
    assert chip(op) == said


def test_what_the_checker_finds_can_be_drawn(tmp_path: Path) -> None:
    report = check(SKEW)
    assert {"G1a", "G2-item"} <= report.counts.keys()
    for found in report.found:
        assert f"{found.name}: {found.title}" in texts(cycle_svg(found, SKEW))
