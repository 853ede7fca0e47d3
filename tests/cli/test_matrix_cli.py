"""``harness matrix``: a run here, a stored run, files where the user wants them, and what is wrong in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lost_update import LOST

from .conftest import Run


@pytest.fixture
def lost(tmp_path: Path) -> Path:
    file = tmp_path / "scenarios" / "matrix" / "lost.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(LOST, "utf-8")
    return file


def test_it_runs_the_folder_below_here_and_prints_the_table(cli: Run, lost: Path, tmp_path: Path) -> None:
    done = cli("matrix", "--compare", "--html", "page.html", "--markdown", "table.md")
    assert done.returncode == 0, done.stderr
    assert "read committed" in done.stdout
    assert "✓br" in done.stdout
    assert "PostgreSQL: 2 of 2 cells as in Hermitage" in done.stdout
    evidence = next((tmp_path / "results" / "latest").glob("*/evidence.json")).parent.name
    assert f"{evidence}/evidence.json" in (tmp_path / "page.html").read_text("utf-8").replace("%40", "@")
    assert (tmp_path / "table.md").read_text("utf-8").startswith("| | asked for | given |")


def test_a_stored_run_is_tabulated_again_and_its_files_written_again(cli: Run, lost: Path, tmp_path: Path) -> None:
    first = cli("matrix", lost)
    file = (tmp_path / "results" / "latest" / "matrix.json").resolve()
    before = file.read_text("utf-8")
    file.unlink()
    again = cli("matrix", "--run", "latest")
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert file.read_text("utf-8") == before
    (tmp_path / "plain.yaml").write_text(LOST.replace("matrix: P4\n", ""), "utf-8")
    assert cli("run", "-q", tmp_path / "plain.yaml").returncode == 0  # the latest run now, without a matrix
    assert cli("matrix", "--run", "latest").stdout == first.stdout
    printed = cli("matrix", "--run", json.loads(before)["run"], "--markdown", "-")
    assert printed.stdout.startswith("| | asked for")


def test_a_readme_gets_its_table_in_its_own_language(cli: Run, lost: Path, tmp_path: Path) -> None:
    cli("matrix")
    for name, head in (("README.md", "| | asked for |"), ("README.es.md", "| | pedido |")):
        file = tmp_path / name
        file.write_text("# Mine\n<!-- matrix --><!-- /matrix -->\nafter\n", "utf-8")
        assert cli("matrix", "--run", "latest", "--markdown", name).returncode == 0
        text = file.read_text("utf-8")
        assert head in text
        assert text.startswith("# Mine\n<!-- matrix -->")
        assert text.endswith("<!-- /matrix -->\nafter\n")


def test_a_cell_that_is_not_as_expected_gives_exit_code_1(cli: Run, lost: Path) -> None:
    lost.write_text(LOST.replace("finds: lost update", "finds: nothing"), "utf-8")
    done = cli("matrix")
    assert done.returncode == 1
    assert "✗!" in done.stdout
    assert cli("matrix", "--run", "latest").returncode == 1


def test_what_cannot_be_set_up_is_told_and_the_rest_is_run(cli: Run, lost: Path) -> None:
    (lost.parent / "broken.yaml").write_text(LOST.replace("id int PRIMARY KEY", "id nonsense"), "utf-8")
    done = cli("matrix")
    assert done.returncode == 1
    assert "✗ broken[" in done.stderr
    assert "✓br" in done.stdout


def test_a_database_without_a_server_is_told_once_and_is_no_failure(cli: Run, lost: Path) -> None:
    text = LOST.replace("database: promptsales", "database: [promptsales, promptcrm]")
    lost.write_text(text, "utf-8")
    done = cli("matrix", "--servers", "external")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("promptcrm was not run") == 1
    assert "✓br" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "there is no folder scenarios"),
        (["nowhere"], 2, "nowhere"),
        (["plain.yaml"], 2, "no scenario there says 'matrix:'"),
        (["--run", "latest"], None, "no run 'latest'"),
        (["--run", "latest", "plain.yaml"], 2, "give it no scenario files"),
    ],
    ids=["folder", "file", "no-cell", "no-run", "both"],
)
def test_what_is_wrong_is_one_line(cli: Run, tmp_path: Path, arguments: list[str], code: int | None, said: str) -> None:
    (tmp_path / "plain.yaml").write_text(LOST.replace("matrix: P4\n", ""), "utf-8")
    done = cli("matrix", *arguments)
    assert done.returncode != 0
    assert code in (None, done.returncode)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_run_without_cells_and_files_that_cannot_be_written_are_one_line(
    cli: Run, lost: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.yaml"
    plain.write_text(LOST.replace("matrix: P4\n", ""), "utf-8")
    assert cli("run", "-q", plain).returncode == 0
    done = cli("matrix", "--run", "latest")
    assert done.returncode != 0
    assert "no case of this run is of a cell of the matrix" in done.stderr
    assert cli("matrix").returncode == 0
    for option in ("--html", "--markdown"):
        done = cli("matrix", "--run", "latest", option, "nowhere/file")
        assert done.returncode != 0
        assert done.stderr.startswith("harness: the table cannot be written")
    (tmp_path / "half.md").write_text("<!-- matrix -->\n", "utf-8")
    done = cli("matrix", "--run", "latest", "--markdown", "half.md")
    assert done.returncode == 2
    assert "--markdown half.md: put the lines" in done.stderr
    assert (tmp_path / "half.md").read_text("utf-8") == "<!-- matrix -->\n"
