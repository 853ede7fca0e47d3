from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.evidence.store import Store
from harness.matrix.stored import HTML, JSON, MARKDOWN, matrix_of, read_matrix, write_matrix

from .made import LOST, SERIAL, evidence, table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path, "run")
    made.open()
    return made


def test_a_stored_run_gives_the_table_of_its_evidence_with_the_paths(store: Store) -> None:
    made = [evidence(LOST, "P4"), evidence(SERIAL, "P4", level="serializable")]
    for one in made:
        store.keep(one, {}, 0.1)
    matrix = write_matrix(store.folder)
    assert [row.name for row in matrix.rows] == ["read committed", "serializable"]
    cases = [case for row in matrix.rows for cell in row.cells.values() for case in cell.tried]
    assert all((store.folder / case.evidence).is_file() for case in cases)
    assert {file.name for file in store.folder.iterdir()} >= {JSON, MARKDOWN, HTML}
    assert read_matrix(store.folder) == matrix == matrix_of(store.folder)


def test_a_case_that_was_run_twice_has_both_evidences(store: Store) -> None:
    for _ in range(2):
        store.keep(evidence(LOST, "P4"), {}, 0.1)
    (row,) = matrix_of(store.folder).rows
    assert len({case.evidence for case in row.cells["P4"].tried}) == 2


def test_a_run_without_such_cases_leaves_no_files(store: Store) -> None:
    store.keep(evidence(LOST, "P4", matrix=None), {}, 0.1)
    assert write_matrix(store.folder) == table(run="run")
    assert read_matrix(store.folder) is None
    assert not (store.folder / HTML).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": [{}]}', '{"rows": 1}', "\x00"], ids=range(6))
def test_a_file_that_is_no_matrix_is_one_line(store: Store, text: str) -> None:
    (store.folder / JSON).write_text(text, "utf-8")
    with pytest.raises(StoreError, match=r"matrix\.json cannot be read") as caught:
        read_matrix(store.folder)
    assert "\n" not in str(caught.value)


def test_evidence_that_is_none_is_one_line(store: Store) -> None:
    path = store.keep(evidence(LOST, "P4"), {}, 0.1)
    path.write_text("{}", "utf-8")
    with pytest.raises(StoreError, match="is no evidence of this version"):
        matrix_of(store.folder)


def test_a_stored_place_that_nobody_knows_is_a_column_of_no_table_and_no_error(store: Store) -> None:
    path = store.keep(evidence(LOST, "P4"), {}, 0.1)
    told = json.loads(path.read_text("utf-8"))
    told["history"]["matrix"]["anomaly"] = "G9"
    path.write_text(json.dumps(told), "utf-8")
    (row,) = write_matrix(store.folder).rows
    assert list(row.cells) == ["G9"]
