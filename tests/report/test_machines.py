from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from harness.evidence.model import Evidence
from harness.history import Event, EventKind, HostRecord
from harness.report import machines, words
from harness.report.page import report_html
from harness.report.reading import found, markers
from harness.report.svg import text_width
from harness.report.text import case_text, run_renderable, timeline_text
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg

from .samples import CUT, EVIL, SAMPLES, cascade, cut_off, dirty_read, machine_room, run_of, two_pcs
from .test_page import Page, without_own
from .test_pictures import SVG, texts

AWAY = [name for name, make in SAMPLES.items() if make().history.hosts]
HERE = [name for name in SAMPLES if name not in AWAY]


def page(evidence: Evidence) -> str:
    html = report_html(run_of([evidence]), [evidence])
    return " ".join(" ".join(Page(html).text).split())


def host(**known: object) -> HostRecord:
    return HostRecord.model_validate({"name": "pc1", "hostname": "pc1.lan", "round_trip": 0.0002} | known)


def event(**known: object) -> Event:
    fields = {"seq": 1, "at": 0.0, "kind": EventKind.ok, "session": "T1", "step": "s", "database": "sales"}
    return Event.model_validate(fields | known)


@pytest.mark.parametrize("name", HERE)
def test_where_all_ran_here_nothing_is_said_of_machines(name: str) -> None:
    evidence = SAMPLES[name]()
    history = evidence.history
    assert machines.machines(history) == []
    assert machines.on(history) == machines.places(history) == machines.off(history) == {}
    pictures = " ".join([*texts(timeline_svg(evidence)), *texts(waits_svg(evidence))])
    for said in (page(evidence), case_text(evidence), timeline_text(evidence), pictures):
        assert "Machines" not in said
        assert "own clock" not in said
        assert "on alpha" not in said


@pytest.mark.parametrize("name", AWAY)
def test_each_session_says_where_it_ran(name: str) -> None:
    evidence = SAMPLES[name]()
    drawn, graph = texts(timeline_svg(evidence)), texts(waits_svg(evidence))
    told = timeline_text(evidence, 120)
    for session, place in machines.places(evidence.history).items():
        shown = place[:6]  # long names are cut
        assert any(f"on {shown}" in text for text in drawn)
        assert any(text.startswith(f"{session} on {place}") for text in graph)  # a tooltip, uncut
        assert any(text.startswith(f"on {shown}") for text in graph)
        assert f"on {shown}" in told
        assert f"{session} on {shown}" in page(evidence)


def test_the_servers_own_ids_stay() -> None:
    assert {"on pc1", "pid 4100", "on pc2", "pid 4101"} <= set(texts(timeline_svg(two_pcs())))


def test_many_sessions_say_it_line_by_line() -> None:
    text = timeline_text(machine_room(9), 100)
    assert "T1 on pc1" in text
    assert "T4 on alpha" in text


def test_a_case_that_a_worker_ran_elsewhere_says_where() -> None:
    alone = cascade()
    there = alone.model_copy(update={"history": alone.history.model_copy(update={"controller": "pc1"})})
    for one, told in ((alone, False), (there, True)):
        assert (", all on pc1" in page(one)) is told
        assert (", all on pc1" in case_text(one)) is told
        assert machines.machines(one.history) == []
    assert ", all on" not in case_text(two_pcs())


def test_the_table_of_machines() -> None:
    first, second, third = machines.machines(two_pcs().history)
    assert (first.name, first.is_controller, first.sessions) == ("alpha", True, "–")
    assert (second.name, second.hostname, second.sessions) == ("pc1", "DESKTOP-8K2PQ1", "T1")
    assert (second.clock, second.round_trip) == ("-1.4 ms ± 0.1 ms", "0.2 ms")
    assert third == machines.Machine(
        name="pc2",
        hostname="pc2.lan",
        sessions="T2",
        address="192.168.1.22",
        system="Linux 6.1.0-37-amd64",
        python="Python 3.11.2, psycopg 3.2.10",
        clock="+5.003 s ± 0.1 ms",
        round_trip="0.3 ms",
        pid="4711",
        lost="",
    )
    for said in (page(two_pcs()), case_text(two_pcs(), 200)):
        for known in ("Machines", "pc2.lan", "192.168.1.22", "Linux 6.1.0-37-amd64", "Python 3.11.2", "psycopg 3.2.10",
                      "+5.003 s ± 0.1 ms", "0.3 ms", "4711"):  # fmt: skip
            assert known in said
    assert machines.ORDER in page(two_pcs())
    assert machines.ORDER_ALONE in " ".join(case_text(two_pcs()).split())


def test_what_is_not_known_is_a_dash() -> None:
    controller, known, evil, _ = machines.machines(machine_room(3).history)
    assert controller.sessions == "–"
    assert known.sessions == "T1"
    assert (evil.python, evil.clock, evil.round_trip, evil.pid) == ("–", "–", "–", "–")
    assert "clock –" not in case_text(machine_room(3))


def test_of_many_sessions_of_one_machine_only_some_are_named() -> None:
    history = machine_room(40).history
    assert machines.machines(history)[1].sessions == "T1, T5, T9, T13, T17, T21 and 4 more"
    assert machines.machines(history)[0].sessions == "T4, T8, T12, T16, T20, T24 and 4 more"


def test_a_machine_that_was_lost_says_why() -> None:
    assert f"✗ lost: {CUT}" in page(cut_off())
    assert f"lost: {CUT}" in case_text(cut_off())
    assert "lost, on pc2" in timeline_text(cut_off())
    assert "on pc1" in timeline_text(cut_off())
    assert "lost, on pc1" not in timeline_text(cut_off())
    assert "lost, on pc2" in texts(timeline_svg(cut_off()))
    for said in (page(two_pcs()), case_text(two_pcs()), " ".join(texts(timeline_svg(two_pcs())))):
        assert "lost" not in said


@pytest.mark.parametrize(
    ("offset", "error", "said"),
    [
        (5.0031, 0.00013, "+5.003 s ± 0.1 ms"),
        (-0.0014, 0.0002, "-1.4 ms ± 0.2 ms"),
        (0.0, 0.00005, "+0 µs ± 50 µs"),
        (-0.0000001, 0.00005, "+0 µs ± 50 µs"),
        (-3600.5, 1.25, "-3,600.500 s ± 1.250 s"),
    ],
)
def test_a_clock_in_words(offset: float, error: float, said: str) -> None:
    assert words.clock(offset, error) == said


@pytest.mark.parametrize(
    ("began", "ended", "said"),
    [
        (None, None, ""),
        (1784975467.1149, 1784975467.1149, "10:31:07.114"),
        (1784975467.1149, 1784975468.2211, "10:31:07.114 to 10:31:08.221"),
        (1784975467.1149, None, "10:31:07.114"),
        (float("inf"), float("nan"), "?"),
        (-1e300, 0.0, "? to 00:00:00.000"),
    ],
    ids=["none", "short", "long", "cut off", "no number", "too far"],
)
def test_a_steps_time_on_its_own_clock(began: float | None, ended: float | None, said: str) -> None:
    assert machines.own_time(event(host_began=began, host_ended=ended)) == said


def test_each_statement_has_its_time_on_its_own_clock() -> None:
    said = page(two_pcs())
    assert "on its own clock (UTC)" in said
    # The controller began the step at 10:31:07.008; pc2's clock is five seconds ahead, and that is shown as it was.
    assert "10:31:12.011 to 10:31:12.116 5.003 s ahead T2 on pc2" in said
    assert "10:31:07.114 T1 on pc1" in said  # off by 1.4 ms: not worth a remark
    assert any("own clock: 10:31:12.011 to 10:31:12.116 UTC" in text for text in texts(timeline_svg(two_pcs())))


def test_a_step_whose_end_was_never_told_has_no_time() -> None:
    assert re.search(r"8\.4 – T2 on pc2 T2\.next", page(cut_off()))


def test_a_clock_is_remarked_on_from_a_tenth_of_a_second() -> None:
    history = two_pcs().history

    def off(offset: float) -> dict[str, str]:
        return machines.off(history.model_copy(update={"hosts": [host(clock_offset=offset)]}))

    assert off(0.1) == off(-0.1) == {}
    assert off(0.131) == {"T1": "131.0 ms ahead"}
    assert off(-7.5) == {"T1": "7.500 s behind"}


def test_a_ring_without_a_victims_error_is_not_called_a_deadlock() -> None:
    evidence = cut_off()
    assert found(evidence) == []
    assert markers(evidence) == {}
    drawn = texts(timeline_svg(evidence))
    assert "ring of waits: T1 → T2 → T1" in drawn
    assert "deadlock: T1 → T2 → T1" not in drawn
    for said in (page(evidence), case_text(evidence, 200), " ".join(drawn)):
        assert "no victim's error came from the server" in said
        assert "victim T2" not in said
    assert "found: nothing" in case_text(evidence)
    assert "found nothing end lost" in page(evidence)
    assert found(two_pcs()) == ["deadlock"]


@pytest.mark.parametrize("sessions", [3, 9, 16])
def test_what_a_machine_says_of_itself_is_text(sessions: int) -> None:
    evidence = machine_room(sessions)
    html = report_html(run_of([evidence]), [evidence])
    for drawn in (without_own(html), timeline_svg(evidence), waits_svg(evidence)):
        for markup in ("<script", "<img", "<u>", "<i>", "<b>", "\x1b", "\x07"):
            assert markup not in drawn
    shown = page(evidence)
    for said in ("</td><script>alert(1)</script>", "fe80::1%<i>", "<u>�", "✗ lost: <img src=x> has ended"):
        assert said in shown
    assert EVIL.replace("\x1b", "�") in shown
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", case_text(evidence))


def boxes(svg: str, height: str) -> list[tuple[float, float, float, float]]:
    found = [rect for rect in ET.fromstring(svg).iter(f"{SVG}rect") if rect.get("height") == height]
    made = [[float(rect.get(key, 0)) for key in ("x", "y", "width", "height")] for rect in found]
    return [(x, y, x + wide, y + high) for x, y, wide, high in made]


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]


@pytest.mark.parametrize("sessions", [2, 3, 5, 7, 9, 16, 32])
def test_long_names_of_machines_do_not_overlap_in_the_graph(sessions: int) -> None:
    pills = boxes(waits_svg(machine_room(sessions)), "46")
    assert len(pills) == sessions
    for i, one in enumerate(pills):
        assert all(apart(one, other) for other in pills[i + 1 :])


@pytest.mark.parametrize("sessions", [2, 3, 4, 6, 9, 16])
def test_long_names_of_machines_do_not_overlap_above_the_lanes(sessions: int) -> None:
    root = ET.fromstring(timeline_svg(machine_room(sessions)))
    heads: list[tuple[float, ...]] = []
    above = 0.0
    for text in root.iter(f"{SVG}text"):
        said = text.text or ""
        x, y, wide = float(text.get("x", 0)), float(text.get("y", 0)), text_width(said, 11)
        if "corrected by" in said:
            above = y
        elif re.match(r"(lost, )?on ", said):
            heads.append((x - 8, y - wide, x, y) if text.get("transform") else (x - wide / 2, y - 9, x + wide / 2, y))
    assert len(heads) == sessions
    for i, one in enumerate(heads):
        assert one[0] >= 0
        assert one[1] > above
        assert all(apart(one, other) for other in heads[i + 1 :])


def told_of_run(*evidences: Evidence) -> list[str]:
    """What the terminal and the page say of a run, all on one line each."""
    console = Console(width=160, color_system=None, force_terminal=False)
    with console.capture() as said:
        console.print(run_renderable(run_of([*evidences]), evidences))
    shown = " ".join(Page(report_html(run_of([*evidences]), evidences)).text)
    return [" ".join(text.split()) for text in (said.get(), shown)]


def test_a_run_names_all_its_machines_once() -> None:
    for said in told_of_run(two_pcs(), cut_off(), dirty_read()):
        assert "hosts alpha, pc1, pc2 versions" in said
    for said in told_of_run(cascade()):
        assert "hosts alpha versions" in said


def test_a_machine_that_the_runs_record_names_is_not_named_again() -> None:
    assert machines.with_those_of([two_pcs()], ["alpha", "pc2.lan"]) == ["alpha", "pc2.lan", "pc1"]
