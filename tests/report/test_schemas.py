"""The pictures of the databases: what the files declare is in them, and those in docs/ are today's."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.report.schemas import main, picture, tables
from harness.vocabulary import LOGICAL

ROOT = Path(__file__).parents[2]


def put(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


@pytest.mark.parametrize("logical", LOGICAL)
def test_the_pictures_in_docs_are_todays(logical: str) -> None:
    drawn = picture(logical, tables(ROOT / "schemas", logical))
    kept = (ROOT / f"docs/pictures/schema-{logical}.svg").read_text("utf-8")
    assert drawn == kept, "renew them: python -m harness.report.schemas docs/pictures"


def test_keys_references_and_what_comes_from_elsewhere(tmp_path: Path) -> None:
    put(
        tmp_path,
        "promptads/postgresql/10_t.sql",
        "-- two tables\nCREATE TABLE a (\n    id int CONSTRAINT pk_a PRIMARY KEY\n);\n"
        "CREATE TABLE b (\n    x int NOT NULL CONSTRAINT fk_b_a REFERENCES a (id),\n    y int NULL, -- of PromptCrm\n"
        "    z int NOT NULL,\n    CONSTRAINT pk_b PRIMARY KEY (x, z),\n"
        "    CONSTRAINT fk_b_z FOREIGN KEY (z) REFERENCES b (x)\n);\n"
        "CREATE TABLE seed_range (\n    job int\n);\n",
    )
    a, b = tables(tmp_path, "promptads")
    assert [(one.name, one.key) for one in a.fields] == [("id", True)]
    assert [(one.name, one.key, one.refers, one.elsewhere) for one in b.fields] == [
        ("x", True, "a", ""),
        ("y", False, "", "PromptCrm"),
        ("z", True, "b", ""),
    ]


def test_collections_with_their_nested_fields(tmp_path: Path) -> None:
    put(
        tmp_path,
        "promptcontent/mongodb/10_c.yaml",
        "- create: content\n  validator: {$jsonSchema: {properties: {_id: {bsonType: int}, image: {bsonType: object,"
        " properties: {width: {bsonType: int}}}, tags: {bsonType: array, items: {bsonType: string}}, s: {enum: [a, b]}}}}\n",
    )
    (content,) = tables(tmp_path, "promptcontent")
    assert [(one.name, one.kind) for one in content.fields] == [
        ("_id", "int"),
        ("image.width", "int"),
        ("tags", "string[]"),
        ("s", "a | b"),
    ]


def test_every_table_is_drawn_right_of_what_it_refers_to() -> None:
    found = tables(ROOT / "schemas", "promptcrm")
    tree = ET.fromstring(picture("promptcrm", found))
    names = {table.name for table in found}
    at = {
        element.text: float(element.attrib["x"])
        for element in tree.iter("{http://www.w3.org/2000/svg}text")
        if element.text in names and "big" in element.attrib.get("class", "")
    }
    assert at.keys() == names
    for table in found:
        for one in table.fields:
            if one.refers and one.refers != table.name:
                assert at[one.refers] < at[table.name]


def test_no_conventions_of_keys_is_one_line(tmp_path: Path) -> None:
    put(tmp_path, "cache/redis/keys.yaml", "- 1")
    with pytest.raises(DataError, match=r"keys\.yaml: not the conventions of keys"):
        tables(tmp_path, "cache")


def test_no_files_is_one_line_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(tmp_path)]) == 1
    assert "there is no schema of promptsales for postgresql" in capsys.readouterr().err
