"""The JSON Schema of evidence.json: up to date, and true of what is really written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import harness
from harness.answers import DeadlockReport
from harness.evidence.model import Evidence
from harness.evidence.store import Store, schema
from harness.evidence.verdict import judge
from harness.history import EventKind, History, RunEnd, ScheduledStep, SessionRecord
from harness.scenario.model import Expectation
from harness.vocabulary import Phenomenon

from .histories import Builder, build, database, with_rows
from .test_deadlock import ring

FILE = Path(harness.__file__).parent / "evidence" / "evidence.schema.json"
VALIDATOR = Draft202012Validator(schema())


def everything() -> History:
    """A history that fills as many fields as one can."""
    builder = ring()
    builder.refused("T2", "want T2")
    builder.end("T1", "want T1", results=with_rows([1, None], ["a", 2.5]), seconds=0.1, attempt=2)
    builder._event(EventKind.notice, "T1", "want T1", text="a notice")
    builder.databases = [database("db", stand_in="sqlserver")]
    builder.sessions["T1"] = SessionRecord(
        name="T1", host="h", pids={"db": "1"}, observed_levels={"db": "x"}, notes=["n"]
    )
    return builder.history(
        entries=[ScheduledStep(step="want T1", session="T1", must_block=True, after="want T2")],
        initial={"x": 1, "y": None, "z": [1, {"a": 2}]},
        reports=[DeadlockReport(database="db", source="log", text="t")],
        transactions={"committed": 1},
        end=RunEnd.hung,
        end_text="why",
    )


HISTORIES = {
    "everything": everything(),
    "anomalies": build("r1(x=0) r2(x=0) w1(x=1) c1 w2(x) c2", x=0).history(),
    "nothing": Builder().history(),
}
EXPECTED = Expectation(finds=(Phenomenon.deadlock,), blocks=(), sees={"a": [1]}, final={"x": "< 2"}, errors={"a": "b"})


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == json.dumps(schema(), indent=2) + "\n", (
        "write it again: python -m harness.evidence.store > harness/evidence/evidence.schema.json"
    )


@pytest.mark.parametrize("history", list(HISTORIES.values()), ids=list(HISTORIES))
@pytest.mark.parametrize("expectation", [Expectation(), EXPECTED], ids=["nothing", "much"])
def test_what_is_written_is_valid_and_comes_back(tmp_path: Path, history: History, expectation: Expectation) -> None:
    evidence = Evidence(
        run="r1", history=history, expectation=expectation.as_record(), verdict=judge(history, expectation)
    )
    path = Store(tmp_path, "r1").keep(evidence, {}, 0)
    written: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert [error.message for error in VALIDATOR.iter_errors(written)] == []
    assert Evidence.model_validate(written) == evidence
    whole = json.loads(evidence.model_dump_json())  # defaults and all: just as valid
    assert [error.message for error in VALIDATOR.iter_errors(whole)] == []


def test_foreign_fields_are_refused() -> None:
    history = Builder().history()
    written = json.loads(Evidence(history=history, verdict=judge(history, Expectation())).model_dump_json())
    written["history"]["odd"] = 1
    assert list(VALIDATOR.iter_errors(written))
