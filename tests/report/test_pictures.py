from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from harness.evidence.model import Evidence
from harness.history import EventKind
from harness.report.reading import sessions
from harness.report.svg import Canvas
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg

from .samples import SAMPLES, cascade, dirty_read, hidden, hung, lost_update, many_steps, nasty, ring

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = {"timeline": timeline_svg, "waits": waits_svg}


@pytest.fixture(params=SAMPLES)
def evidence(request: pytest.FixtureRequest) -> Evidence:
    return SAMPLES[request.param]()


@pytest.fixture(params=PICTURES)
def draw(request: pytest.FixtureRequest) -> Callable[[Evidence], str]:
    return PICTURES[request.param]


def texts(svg: str) -> list[str]:
    """All that can be read in a picture, its tooltips too."""
    root = ET.fromstring(svg)
    return [element.text or "" for tag in ("text", "title", "desc") for element in root.iter(f"{SVG}{tag}")]


def test_it_is_xml_that_says_what_it_shows(evidence: Evidence, draw: Callable[[Evidence], str]) -> None:
    root = ET.fromstring(draw(evidence))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    title, desc = (root.get("aria-labelledby") or "").split()
    assert [child.get("id") for child in list(root)[:2]] == [title, desc]
    assert all(list(root)[i].text for i in (0, 1))


def test_it_needs_nothing_from_outside(evidence: Evidence, draw: Callable[[Evidence], str]) -> None:
    root = ET.fromstring(draw(evidence))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {
        "svg", "title", "desc", "style", "defs", "marker", "pattern", "g", "rect", "circle", "path", "text"
    }  # fmt: skip
    for element in root.iter():
        for name, given in element.attrib.items():
            assert not name.lower().startswith("on")
            assert "href" not in name
            assert "url(" not in given or given.startswith("url(#")
    style = root.find(f"{SVG}style")
    assert style is not None
    assert "prefers-color-scheme:dark" in (style.text or "")
    assert "url(" not in (style.text or "")
    assert "@import" not in (style.text or "")


def test_every_class_has_its_colour(evidence: Evidence, draw: Callable[[Evidence], str]) -> None:
    root = ET.fromstring(draw(evidence))
    style = root.findtext(f"{SVG}style") or ""
    for element in root.iter():
        for name in element.get("class", "").split():
            assert name == "psh" or f".{name}{{" in style, name


def test_ids_are_single_and_referred_to(evidence: Evidence, draw: Callable[[Evidence], str]) -> None:
    svg = draw(evidence)
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]*)\)", svg)) <= set(ids)


def test_pictures_of_different_cases_share_no_id() -> None:
    drawn = [picture(make()) for make in SAMPLES.values() for picture in PICTURES.values()]
    ids = [ident for svg in drawn for ident in re.findall(r'\bid="([^"]*)"', svg)]
    assert len(ids) == len(set(ids))


def test_the_same_evidence_gives_the_same_picture(evidence: Evidence, draw: Callable[[Evidence], str]) -> None:
    assert draw(evidence) == draw(Evidence.model_validate_json(evidence.model_dump_json()))


def test_nothing_lies_outside_the_picture(evidence: Evidence, draw: Callable[[Evidence], str]) -> None:
    root = ET.fromstring(draw(evidence))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for element in root.iter():
        if element.tag in (f"{SVG}rect", f"{SVG}text") and "%" not in element.get("width", ""):
            assert -1 <= float(element.get("x", 0)) <= width
            assert -1 <= float(element.get("y", 0)) <= height
        if element.tag == f"{SVG}rect" and element.get("x"):
            assert float(element.get("x", 0)) + float(element.get("width", 0)) <= width + 1
            assert float(element.get("y", 0)) + float(element.get("height", 0)) <= height + 1


def test_every_step_and_session_stands_in_the_timeline(evidence: Evidence) -> None:
    said = texts(timeline_svg(evidence))
    for event in evidence.history.events:
        assert any(event.step in text for text in said)
    for name in sessions(evidence.history):
        assert any(name in text for text in said)


def test_every_wait_stands_in_the_graph(evidence: Evidence) -> None:
    said = texts(waits_svg(evidence))
    if not evidence.history.pictures:
        assert "Nobody waited for another session" in said
        return
    for event in evidence.history.events:
        if event.kind is EventKind.blocked:
            assert event.session in said or f"✖ {event.session}" in said


def test_markup_in_values_stays_text() -> None:
    for picture in PICTURES.values():
        svg = picture(nasty())
        assert "<script" not in svg
        assert "<img" not in svg
        assert "\x1b" not in svg
    assert any("O''Brien & <b>Söhne</b>" in text for text in texts(timeline_svg(nasty())))
    assert any("NULL" in text for text in texts(timeline_svg(nasty())))


def test_proofs_are_marked_and_told() -> None:
    said = texts(timeline_svg(lost_update()))
    assert said.count("A1") == 5  # four events and the proof's own head
    assert "lost update (P4), T1 and T2" in said
    assert any("∎" in text for text in said)


def test_a_victim_is_more_than_a_colour() -> None:
    said = texts(timeline_svg(cascade()))
    assert "✖ T3.next" in said
    assert "VICTIM 40P01 after 105 ms" in said
    assert said.count("D1") == 2
    assert "✖ T3" in texts(waits_svg(cascade()))
    assert "VICTIM, cancelled 57014 after" in " ".join(texts(timeline_svg(hidden())))


def test_waits_and_releases_are_arrows() -> None:
    root = ET.fromstring(timeline_svg(cascade()))
    heads = [path.get("marker-end", "") for path in root.iter(f"{SVG}path")]
    assert sum("amber" in head for head in heads) == 3 + 1  # and one in the key
    assert sum("teal" in head for head in heads) == 2 + 1


def test_two_servers_differ_in_colour_and_in_dash() -> None:
    root = ET.fromstring(waits_svg(hidden()))
    kinds = {
        (path.get("class"), path.get("stroke-dasharray", ""))
        for path in root.iter(f"{SVG}path")
        if path.get("marker-end")
    }
    assert len(kinds) == 2
    assert len({dash for _, dash in kinds}) == 2
    said = texts(waits_svg(hidden()))
    assert "waits on promptcrm@postgresql-standin at localhost:5434" in said
    assert any("no server's own detector can see it" in text for text in said)


def test_the_level_really_observed_is_said() -> None:
    assert any("observed read committed (writer, reader)" in text for text in texts(timeline_svg(dirty_read())))


def test_a_foreign_session_is_no_session_of_the_run() -> None:
    assert "pid 5151" in texts(waits_svg(hung()))


def test_a_ring_of_32_has_room_for_everybody() -> None:
    root = ET.fromstring(waits_svg(ring()))
    pills = [r for r in root.iter(f"{SVG}rect") if r.get("height") == "34"]
    assert len(pills) == 32
    boxes = [tuple(float(pill.get(key, 0)) for key in ("x", "y", "width", "height")) for pill in pills]
    for i, (x, y, wide, high) in enumerate(boxes):
        for other_x, other_y, other_wide, other_high in boxes[i + 1 :]:
            assert x + wide < other_x or other_x + other_wide < x or y + high < other_y or other_y + other_high < y


def test_a_very_long_case_is_cut_and_says_so() -> None:
    svg = timeline_svg(many_steps(8, 100))
    assert any("more rows: see evidence.json" in text for text in texts(svg))
    assert len(svg) < 2_000_000


def test_it_is_written_as_an_xml_writer_would(evidence: Evidence, draw: Callable[[Evidence], str]) -> None:
    bare = draw(evidence).replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
    assert ET.tostring(ET.fromstring(bare), encoding="unicode") == bare


def test_what_markup_is_made_of_is_escaped() -> None:
    canvas = Canvas("<t> & co", 'a "d"', "key")
    canvas.group("</title><script>")
    canvas.text(1, 2.25, "a < b & c > d \x00\x1b", 'x" onload="y', text_anchor="<&>\t\n")
    canvas.text(1, 2, "", "")
    canvas.end()
    root = ET.fromstring(canvas.render(10, 20))
    assert [element.tag.removeprefix(SVG) for element in root.iter()] == [
        "svg", "title", "desc", "style", "defs", "rect", "g", "g", "title", "text", "text"
    ]  # fmt: skip
    said = root.find(f"{SVG}g/{SVG}g/{SVG}text")
    assert said is not None
    assert said.text == "a < b & c > d ��"
    assert said.attrib == {"x": "1", "y": "2.2", "text-anchor": "<&>\t\n", "class": 'x" onload="y'}
    assert texts(canvas.render(10, 20))[:3] == ["a < b & c > d ��", "", "<t> & co"]
