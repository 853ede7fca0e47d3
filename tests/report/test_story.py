from __future__ import annotations

import pytest

from harness.report.story import listed, story

from .samples import SAMPLES, cascade, dirty_read, hidden, hung, lost_update, many_steps, nasty


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_two_sentences_on_one_line(name: str) -> None:
    said = story(SAMPLES[name]())
    assert said.endswith(".")
    assert ". " in said
    assert said.isprintable()


def test_a_deadlock_says_the_ring_the_victim_and_who_went_on() -> None:
    assert story(cascade()) == (
        "T1 wrote budget1 and budget2; T2 wrote budget2 and budget3; T3 wrote budget3, at read committed on "
        "promptsales@postgresql. The server saw the ring T1 → T2 → T3 → T1 and ended T3 (40P01); T2 and T1 committed, "
        "T3 rolled back."
    )


def test_a_deadlock_that_no_server_sees_is_ended_by_the_harness() -> None:
    said = story(hidden())
    assert "promptads@postgresql-standin and promptcrm@postgresql-standin" in said
    assert "No server could see the ring T1 → T2 → T1, so the harness ended T2 (57014)" in said


def test_an_anomaly_is_what_the_server_let_through() -> None:
    said = story(lost_update())
    assert said.startswith("T1 and T2 each read and wrote budget, at read committed")
    assert said.endswith("The server let T1 and T2 through to a lost update (P4); both committed.")


def test_what_was_prevented_says_that_nothing_was_found() -> None:
    assert story(dirty_read()).endswith("reader committed, writer rolled back: no anomaly was found.")


def test_a_refusal_says_its_code() -> None:
    assert "The server refused S1 (112)" in story(many_steps())


def test_a_case_that_ended_early_says_how() -> None:
    assert "It ended early (hung): T1.write hung for 5 s" in story(hung())


def test_a_session_without_declared_items_did_what_its_statements_say() -> None:
    assert "T1 updated budgets; T2 did nothing" in story(hung())
    assert "read budgets" in story(nasty())


def test_many_are_counted() -> None:
    assert listed([f"T{i}" for i in range(6)]) == "T0, T1, T2, T3 and 2 more"
    assert listed([]) == ""
    assert listed(["?5151"]) == "foreign session 5151"
