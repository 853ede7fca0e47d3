from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from harness.evidence.model import Evidence
from harness.report.columns import cut, fold, pad
from harness.report.reading import rows, sessions
from harness.report.text import case_renderable, case_text, run_renderable, timeline_text

from .samples import SAMPLES, cascade, dirty_read, hidden, hung, lost_update, nasty, ring, run_of


@pytest.fixture(params=SAMPLES)
def evidence(request: pytest.FixtureRequest) -> Evidence:
    return SAMPLES[request.param]()


def printed(what: RenderableType, width: int = 100, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, **options)  # type: ignore[arg-type]
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_asked(evidence: Evidence, width: int) -> None:
    for text in (timeline_text(evidence, width), case_text(evidence, width)):
        assert max(cell_len(line) for line in text.splitlines()) <= width


def test_plain_text_has_no_escape_sequence_even_if_a_value_has(evidence: Evidence) -> None:
    for text in (timeline_text(evidence, 100), case_text(evidence), printed(case_renderable(evidence))):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_every_step_and_session_is_told(evidence: Evidence) -> None:
    text = timeline_text(evidence, 100)
    for event in evidence.history.events:
        assert event.step in text
    for name in sessions(evidence.history):
        assert name[:16] in text


def test_the_same_evidence_gives_the_same_text(evidence: Evidence) -> None:
    assert timeline_text(evidence, 100) == timeline_text(evidence, 100)
    assert case_text(evidence) == case_text(evidence)


def test_a_console_paints_and_a_pipe_does_not() -> None:
    assert "\x1b[" in printed(case_renderable(cascade()), force_terminal=True, color_system="standard")
    assert "\x1b[" not in printed(case_renderable(cascade()))


def test_a_deadlock_is_told_to_its_end() -> None:
    text = case_text(cascade())
    assert "T1 ──waits for──▶ T2 (ShareLock on transaction 743, row (0,2) of budgets, promptsales)" in text
    assert "cycle: T1 → T2 → T3 → T1" in text
    assert "victim: T3" in text
    assert "VICTIM 40P01 after 105 ms" in text
    assert "✓ passed" in text


def test_a_hidden_deadlock_names_both_servers_and_the_stand_ins() -> None:
    text = case_text(hidden(), 140)
    assert "promptads@postgresql-standin" in text
    assert "stand-in for SQL Server" in text
    assert "localhost:5434 and localhost:5433; no server's own detector can see it" in text
    assert "VICTIM, cancelled 57014" in text


def test_an_anomaly_is_marked_and_proved() -> None:
    text = timeline_text(lost_update(), 100)
    assert text.count("[A1]") == 4
    assert "A1  lost update (P4), T1 and T2" in text
    assert "∎" in text
    assert "✗ lost update (P4) was expected to be absent" in case_text(lost_update())


def test_a_level_that_was_not_given_is_said() -> None:
    assert "asked read uncommitted, observed read committed (writer, reader)" in case_text(dirty_read())


def test_a_hang_says_whom_it_waited_for() -> None:
    text = case_text(hung())
    assert "hung: T1.write hung for 5 s" in text
    assert "waits for foreign session 5151" in text
    assert "not run" in text


def test_many_sessions_are_told_line_by_line() -> None:
    lines = timeline_text(ring(), 100).splitlines()
    assert any(line.split()[1:3] == ["T32", "✖"] and line.endswith("[D1]") for line in lines)
    assert all("│" not in line for line in lines)


def test_a_run_is_summed_up() -> None:
    evidences = [make() for make in SAMPLES.values()]
    text = printed(run_renderable(run_of(evidences), evidences), 140)
    assert "14 cases: 9 passed, 3 failed, 2 error" in text
    assert "hidden deadlock" in text
    assert "lost update (P4)" in text
    assert "SecantusDB 0.7.0b3 at localhost:27017 (stand-in for MongoDB)" in text


def test_a_run_without_its_evidences_is_summed_up_too() -> None:
    assert "passed" in printed(run_renderable(run_of([cascade()]), []))
    assert "0 cases" in printed(run_renderable({}, []))
    assert "1 case: 1 passed" in printed(run_renderable({"run": "cut off"}, [cascade()]))


def test_every_event_has_its_row_once(evidence: Evidence) -> None:
    shown = [event.seq for row in rows(evidence.history) for event in row.events]
    assert shown == [event.seq for event in evidence.history.events]


@pytest.mark.parametrize(
    "text", ["", "a", "a b c d e f", "abcdefghijklmnopqrstuvwxyz", "漢字漢字漢字 漢字", "e\u0301 " * 9]
)
@pytest.mark.parametrize("width", [2, 3, 7])
def test_folding_keeps_to_the_width_and_loses_nothing(text: str, width: int) -> None:
    folded = fold(text, width)
    assert all(cell_len(line) <= width for line in folded)
    assert "".join(folded).replace(" ", "") == text.replace(" ", "")
    assert len(fold(text, width, 2)) <= 2
    assert cell_len(cut(text, width)) <= width
    assert cell_len(pad(text, width)) == width


def test_markup_of_the_console_is_not_obeyed() -> None:
    evidence = nasty()
    history = evidence.history.model_copy(update={"title": "[red]x[/red] [/]"})
    assert "[red]x[/red] [/]" in case_text(evidence.model_copy(update={"history": history}))
