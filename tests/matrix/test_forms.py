"""The table as text, Markdown and a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from evidence.histories import build

from harness.matrix.html import matrix_html
from harness.matrix.markdown import CLOSING, OPENING, matrix_markdown, readme_markdown, table_markdown, written
from harness.matrix.model import Matrix
from harness.matrix.text import matrix_text

from .made import LOST, STANDIN, evidence, level, table

HOSTILE = "<script>alert(1)</script> | [x](javascript:alert(1)) \x1b[31m`&"


@pytest.fixture
def matrix() -> Matrix:
    builder = build(LOST, x=0)
    builder.databases = [STANDIN]
    weak = level("read committed", ["PMP", "P4", "G-single", "G2-item", "G2"])
    return table(*weak, *level("serializable"), evidence(builder, "P4"), run="20260101")


def test_the_text_has_a_line_for_each_level_and_the_reason_of_what_is_missing(matrix: Matrix) -> None:
    told = matrix_text(matrix).splitlines()
    assert told[0] == "PostgreSQL 18.6 (promptsales)"
    (weak,) = [line for line in told if line.startswith("read committed  ")]
    assert re.findall("[✓✗–]", weak) == [*"✓✓✓✓✓✗✗✗✗✗"]
    (strong,) = [line for line in told if line.startswith("serializable  ")]
    assert re.findall("[✓✗–]", strong) == [*"✓" * 10]
    (nobody,) = [line for line in told if line.startswith("all its levels")]
    assert re.findall("[✓✗–]", nobody) == [*"–" * 10]
    assert any(line.startswith("– SQL Server at read uncommitted, read committed,") for line in told)
    assert not re.search(r"Hermitage", matrix_text(matrix))
    assert "Beside Hermitage" in matrix_text(matrix, compared=True)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_of_a_table_is_wider_than_the_terminal_and_no_cell_is_cut(matrix: Matrix, width: int) -> None:
    told = matrix_text(matrix, width)
    assert max(map(len, told.splitlines())) <= width
    assert "…" not in told
    assert "monotonic atomic view" in told


def test_the_text_has_no_escape_of_others(matrix: Matrix) -> None:
    hostile = table(evidence(LOST, "P4", row=HOSTILE, finds=[]))
    assert "\x1b" not in matrix_text(hostile, compared=True)


def test_a_verdict_not_as_expected_is_told_in_every_form() -> None:
    unmet = table(evidence(LOST, "P4", finds=[]))
    assert "! P4[db-read_committed]: not as its scenario expects" in matrix_text(unmet)
    assert "✗!" in matrix_markdown(unmet)
    assert "not as its scenario expects" in matrix_html(unmet)


def test_markdown_is_one_table_with_as_many_cells_in_every_line(matrix: Matrix) -> None:
    lines = table_markdown(matrix).splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {14}
    assert lines[2].startswith("| PostgreSQL 18.6 | read committed | monotonic atomic view | ✓")


def test_the_file_of_a_run_links_what_decided_each_cell(matrix: Matrix) -> None:
    text = matrix_markdown(matrix)
    linked = re.findall(r"\]\(<([^>]+)>\)", text)
    assert set(linked) == {case.evidence for row in matrix.rows for cell in row.cells.values() for case in cell.tried}
    assert "CC BY 4.0" in text


def test_hostile_texts_stay_text_in_markdown() -> None:
    hostile = table(evidence(LOST, "P4", row=HOSTILE, variant=HOSTILE))
    text = matrix_markdown(hostile)
    assert "<script>" not in text
    assert r"\<script\>" in text
    assert "](javascript" not in text.replace(r"\](", "")
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table_markdown(hostile).splitlines()} == {14}


def test_a_readme_gets_the_table_between_its_markers_and_nothing_else_changes(matrix: Matrix) -> None:
    before = f"# Title\n\n{OPENING}\nold\n{CLOSING}\n\nafter | it\n"
    once = written(before, matrix)
    assert once == f"# Title\n\n{OPENING}\n\n{readme_markdown(matrix)}\n{CLOSING}\n\nafter | it\n"
    assert written(once, matrix) == once
    spanish = written(before, matrix, spanish=True)
    assert "| pedido | dado |" in spanish
    assert "prevented" not in spanish
    assert re.findall("[✓✗–]", spanish) == re.findall("[✓✗–]", once)


def test_a_new_file_gets_all_there_is_to_say_and_gets_it_again(matrix: Matrix) -> None:
    whole = written("", matrix)
    assert "– SQL Server at read uncommitted" in whole
    assert written(whole, matrix) == whole


@pytest.mark.parametrize(
    "text",
    [OPENING, CLOSING, f"{CLOSING} {OPENING}", "# Somebody's own\n"],
    ids=["closing", "opening", "order", "both"],
)
def test_a_marker_that_is_missing_is_said(matrix: Matrix, text: str) -> None:
    with pytest.raises(ValueError, match="put the lines <!-- matrix --> and <!-- /matrix --> where the table"):
        written(text, matrix)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.scripts += tag == "script"
        self.ids += [value for name in ["id"] if (value := told.get(name))]
        self.links += [value for name in ("href", "src") if (value := told.get(name))]


def test_the_page_has_a_link_for_each_cell_and_from_there_to_its_evidence(matrix: Matrix) -> None:
    page = Page(matrix_html(matrix))
    cells = sum(len(row.cells) for row in matrix.rows)
    inner = [link[1:] for link in page.links if link.startswith("#cell-")]
    assert len(inner) == len(set(inner)) == cells
    assert set(inner) == {name for name in page.ids if name.startswith("cell-")}
    assert sum(link.endswith("/evidence.json") for link in page.links) == cells
    assert "report.html" in page.links


def test_the_page_takes_nothing_from_elsewhere(matrix: Matrix) -> None:
    assert not [link for link in Page(matrix_html(matrix)).links if "://" in link or link.startswith("//")]
    assert "default-src 'none'" in matrix_html(matrix).replace("&#39;", "'")


def test_the_page_leads_home_from_another_folder(matrix: Matrix) -> None:
    links = Page(matrix_html(matrix, "../results/a b")).links
    assert "../results/a%20b/case-1/evidence.json" in links
    assert "../results/a%20b/report.html" in links


def test_hostile_texts_stay_text_in_the_page() -> None:
    hostile = table(evidence(LOST, "P4", row=HOSTILE, variant=HOSTILE), run=HOSTILE)
    text = matrix_html(hostile)
    assert Page(text).scripts == Page(matrix_html(table())).scripts == 1
    assert "\x1b" not in text
    assert not [link for link in Page(text).links if "javascript" in link]


def test_an_empty_matrix_is_no_error() -> None:
    assert matrix_text(table())
    assert "<table" in matrix_html(table())
    assert matrix_markdown(table())
