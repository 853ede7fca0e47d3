"""``matrix:`` in a scenario file, and the scenarios of scenarios/matrix."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.matrix.hermitage import hermitage
from harness.scenario.load import load
from harness.vocabulary import ENGINES, HERMITAGE, LEVELS

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "scenarios" / "matrix").glob("*.yaml"))
TEXT = """
title: Reads
database: promptsales
matrix: {matrix}
sessions: {{T1: {{steps: {{look: SELECT 1}}}}}}
expect: {{postgresql: {{any: {{finds: nothing}}}}}}
"""


def written(folder: Path, matrix: str) -> Path:
    file = folder / "one.yaml"
    file.write_text(TEXT.format(matrix=matrix), "utf-8")
    return file


def test_a_word_is_the_anomaly_and_the_row_is_the_level(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, "G-single"))
    assert set(scenario.matrix) == set(ENGINES)
    place = scenario.matrix["postgresql"]
    assert (place.anomaly, place.variant, place.row) == ("G-single", "", "")
    assert scenario.marks == ("matrix", "isolation")


def test_a_variant_and_a_row_of_each_engine(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, "{anomaly: PMP, variant: write predicate, row: {redis: MULTI}}"))
    assert scenario.matrix["redis"].row == "MULTI"
    assert scenario.matrix["mongodb"].row == ""
    assert scenario.matrix["mongodb"].variant == "write predicate"


def test_a_scenario_without_it_is_of_no_cell(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(TEXT.format(matrix="P4").replace("matrix: P4\n", ""), "utf-8")
    scenario = load(file)
    assert scenario.matrix == {}
    assert "matrix" not in scenario.marks


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("G3", "G3"),
        ("g-single", "did you mean"),
        ("{anomaly: P4, rows: x}", "rows"),
        ("{variant: x}", "anomaly"),
        ("{anomaly: P4, row: {oracle: x}}", "oracle"),
        ("{anomaly: P4, row: ' '}", "one line of text"),
        ("[P4]", "matrix"),
    ],
    ids=["unknown", "case", "key", "lack", "engine", "blank", "list"],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, matrix: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=r"one\.yaml:4") as caught:
        load(written(tmp_path, matrix))
    assert said in str(caught.value)


def test_every_anomaly_is_tried_at_every_level_of_every_engine_with_transactions() -> None:
    made = [load(file) for file in SCENARIOS]
    for engine in ("postgresql", "sqlserver", "mongodb"):
        for level in LEVELS[engine]:
            tried = {
                one.matrix[engine].anomaly
                for one in made
                if level in one.levels_on(engine) and engine in one.expect and not one.matrix[engine].row
            }
            assert tried == set(HERMITAGE), f"{engine} at {level}"


def test_every_scenario_there_has_a_cell_and_judges_strictly() -> None:
    for file in SCENARIOS:
        scenario = load(file)
        assert scenario.matrix, file
        for by_level in scenario.expect.values():
            assert all(
                one.finds or one.blocks is not None or one.sees or one.final or one.errors for one in by_level.values()
            )
            assert not any(one.allows for one in by_level.values()), file


EXPECTED = {
    "G0": {"dirty write"},
    "G1a": {"dirty read"},
    "G1b": {"intermediate read"},
    "G1c": {"circular information flow", "dirty read"},
    "OTV": {"observed transaction vanishes", "dirty read"},
    "PMP": {"phantom"},
    "P4": {"lost update"},
    "G-single": {"read skew", "phantom"},
    "G2-item": {"write skew"},
    "G2": {"write skew", "read-only anomaly"},
}
"""What a scenario expects to be found where its anomaly comes about."""


@pytest.mark.parametrize("key", hermitage(), ids=" ".join)
def test_what_the_scenarios_expect_is_what_hermitage_found(key: tuple[str, str]) -> None:
    """SQL Server's expectations too, which no run here can hold against a server."""
    engine, level = key
    expected: dict[str, set[str]] = {}
    for file in SCENARIOS:
        scenario = load(file)
        if engine not in scenario.expect or level not in scenario.levels_on(engine):
            continue
        anomaly = scenario.matrix[engine].anomaly
        (schedule,) = scenario.schedules
        told = scenario.expectation(schedule, engine, level)
        assert told is not None
        found = {one.value for one in told.finds}
        expected.setdefault(anomaly, set()).add("allowed" if found & EXPECTED[anomaly] else "prevented")
    worst = {anomaly: "prevented" if told == {"prevented"} else "allowed" for anomaly, told in expected.items()}
    said = {name: "prevented" if one == "yes" else "allowed" for name, one in hermitage()[key].prevented.items()}
    assert worst == said
    partly = {anomaly for anomaly, told in expected.items() if len(told) > 1}
    assert {name for name, one in hermitage()[key].prevented.items() if one == "some"} <= partly
