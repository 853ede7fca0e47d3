"""The page: what check says of it, with places; rows that are added; the export, and whether it agrees with the log."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from fixtures.databases import Database
from harness.ai_log.check import anchor_in, check_against, check_page, today
from harness.ai_log.markdown import END, HEADER, NO_ANCHOR, RULER, Filter
from harness.ai_log.page import add_row, part_of_servers, write_export
from harness.ai_log.read import open_reader
from harness.ai_log.store import AiLog
from harness.errors import DataError
from harness.servers.base import Target

pytestmark = pytest.mark.mcp

GOOD = "| 2026-01-31 | Ana Mora | Index for the sales of a month | EXPLAIN before and after: 120 ms, 3 ms |"
LATEST = date(2026, 2, 28)


def with_rows(page: Path, *rows: str) -> int:
    """Put rows into the table by hand; gives the line of the first one."""
    lines = page.read_text("utf-8").split("\n")
    place = lines.index(RULER) + 1
    page.write_text("\n".join([*lines[:place], *rows, *lines[place:]]), "utf-8")
    return place + 1


def problems(page: Path) -> list[str]:
    return [str(one).removeprefix(f"{page}:") for one in check_page(page, LATEST)]


# -- check


def test_the_projects_own_page_is_right() -> None:
    page = Path(__file__).parents[2] / "docs/AI_LOG.md"
    assert [str(one) for one in check_page(page)] == []
    text = page.read_text("utf-8")
    assert "| Fecha | Nombre | Prompt | Validación |" in text
    assert "Español" in text
    assert "English" in text


def test_empty_tables_and_good_rows_are_right(page: Path) -> None:
    assert problems(page) == []
    with_rows(page, GOOD, GOOD.replace("01-31", "02-28"), GOOD.replace("01-31", "02-28"))
    assert problems(page) == []


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ("| - | - | - | - |", 3, "'-' is no day"),
        (GOOD.replace("2026-01-31", "31/01/2026"), 3, "'31/01/2026' is no day: write it as 2026-02-28"),
        (GOOD.replace("2026-01-31", "2026-02-30"), 3, "'2026-02-30' is no day"),
        (GOOD.replace("2026-01-31", "20260131"), 3, "is no day"),
        (GOOD.replace("2026-01-31", "2026-03-01"), 3, "2026-03-01 is in the future"),
        (GOOD.replace("Ana Mora", "-"), 16, "there is no name"),
        (GOOD.replace("Ana Mora", ""), 17, "there is no name"),
        (GOOD.replace("Ana Mora", "Nombre"), 16, "there is no name"),
        (GOOD.replace("Index for the sales of a month", "TODO"), 27, "there is no prompt"),
        (GOOD.replace("Index for the sales of a month", "index"), 27, "there is no prompt"),
        *(
            (GOOD.replace("EXPLAIN before and after: 120 ms, 3 ms", word), 60, "the validation says nothing")
            for word in (
                "-",
                "ok",
                "OK.",
                "todo bien",
                "TODO",
                "revisado ✓",
                "Validado, ok!",
                "done",
                "hecho y revisado",
                "n/a",
            )
        ),
        (GOOD.replace("Index for", "a | b"), 1, "the row has 5 cells and not 4"),
        ("| 2026-01-31 | Ana | Prompt |", 1, "the row has 3 cells and not 4"),
        (GOOD[:-2], len(GOOD) - 1, "the row does not end with |"),
        (GOOD.replace("month", "month postgresql://ana:sesame@db/x"), 58, "looks like a password in a URL"),
        (GOOD.replace("month", "month eyJhbGciOiJSUzI1NiJ9.e30.c2ln"), 58, "looks like a signed token"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_with_its_place(page: Path, row: str, column: int, said: str) -> None:
    line = with_rows(page, GOOD.replace("2026-01-31", "2026-01-30"), row)
    found = problems(page)
    assert any(one.startswith(f"{line + 1}:{column}: ") and said in one for one in found), found
    assert all(one.startswith(f"{line + 1}:") for one in found)
    assert "sesame" not in str(found)


@pytest.mark.parametrize(
    "validation", ["12 tests pass", "comparé con SQL a mano", "pytest -m queries en verde", "Leído por Ana"]
)
def test_validations_that_say_something(page: Path, validation: str) -> None:
    with_rows(page, GOOD.replace("EXPLAIN before and after: 120 ms, 3 ms", validation))
    assert problems(page) == []


def test_rows_out_of_order(page: Path) -> None:
    line = with_rows(page, GOOD, GOOD.replace("01-31", "01-30"))
    assert problems(page) == [f"{line + 1}:3: 2026-01-30 comes after 2026-01-31: rows are in the order of their days"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (HEADER, "| Date | Name |", "there is no table"),
        (RULER, "", "the line below the table's head must be"),
        ("<!-- ai-log:mcp -->", "", "the servers' part is missing"),
        (END, "", "the servers' part is missing"),
        (NO_ANCHOR, "", "the servers' part has no anchor"),
        (NO_ANCHOR, "Ancla / Anchor: 7 x y", "the anchor is not well formed"),
        (
            NO_ANCHOR,
            f"Ancla / Anchor: 7 `{'ab' * 32}` 2026-01-31T00:00:00.000001Z",
            "ends with entry 0 and the anchor is entry 7",
        ),
        ("<!-- ai-log:mcp -->", "<!-- ai-log:mcp since=soon -->", "filters cannot be read"),
        ("<!-- ai-log:mcp -->", "<!-- ai-log:mcp -->\n<!-- ai-log:mcp -->", "begins a second time"),
        (f"{RULER}\n\n{NO_ANCHOR}", f"{RULER}\n{GOOD}\n\n{NO_ANCHOR}", "this is no row of the servers"),
    ],
)
def test_a_page_that_is_out_of_form(page: Path, old: str, new: str, said: str) -> None:
    text = page.read_text("utf-8")
    assert old in text
    page.write_text(text.replace(old, new, 1), "utf-8")
    found = problems(page)
    assert any(said in one for one in found), found


@pytest.mark.parametrize("content", [b"", b"\n", b"text\n", b"|\n", b"| Fecha | Nombre | Prompt | Validaci\xc3\xb3n |"])
def test_a_page_of_something_else(page: Path, content: bytes) -> None:
    page.write_bytes(content)
    assert any("there is no table" in one or "is missing" in one for one in problems(page))


def test_a_page_that_cannot_be_read(page: Path, tmp_path: Path) -> None:
    page.write_bytes(b"\xff\xfe")
    for file in (page, tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            check_page(file)
    with pytest.raises(DataError, match=r"none\.md: there is no such page"):
        check_page(tmp_path / "none.md")


def test_windows_line_ends(page: Path) -> None:
    with_rows(page, GOOD)
    page.write_bytes(page.read_bytes().replace(b"\n", b"\r\n"))
    assert problems(page) == []
    add_row(page, date(2026, 2, 1), "Ana", "another index", "all tests pass")
    assert page.read_bytes().count(b"\n") == page.read_bytes().count(b"\r\n")


# -- add


def test_rows_are_added_at_their_place(page: Path) -> None:
    for day, name in (("2026-01-05", "Ana"), ("2026-01-03", "Eva"), ("2026-01-05", "Leo"), ("2026-01-04", "Luis")):
        line = add_row(page, date.fromisoformat(day), name, "a query | for months", "same as `SQL` by hand")
        assert name in page.read_text("utf-8").split("\n")[line - 1]
    rows = [line for line in page.read_text("utf-8").split("\n") if line.startswith("| 2026")]
    assert [row.split(" | ")[1] for row in rows] == ["Eva", "Luis", "Ana", "Leo"]
    assert rows[0] == "| 2026-01-03 | Eva | a query \\| for months | same as \\`SQL\\` by hand |"
    assert problems(page) == []
    assert os.listdir(page.parent) == ["AI_LOG.md"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((today() + timedelta(2), "Ana", "a query", "tests pass"), "in the future"),
        ((LATEST, "-", "a query", "tests pass"), "no name"),
        ((LATEST, "Ana", "x", "tests pass"), "no prompt"),
        ((LATEST, "Ana", "a query", "ok"), "says nothing"),
        ((LATEST, "Ana", "a query", "login password=sesame works"), "--validation looks as if it had a password"),
        ((LATEST, "Ana", "word " * 500, "tests pass"), "--prompt is longer than 2000"),
    ],
)
def test_what_check_would_refuse_is_not_added(page: Path, values: tuple[date, str, str, str], said: str) -> None:
    before = page.read_bytes()
    with pytest.raises(DataError, match=said):
        add_row(page, *values)
    assert page.read_bytes() == before


def test_nothing_is_added_to_a_page_that_is_wrong(page: Path) -> None:
    with_rows(page, "| - | - | - | - |")
    with pytest.raises(DataError, match=r"to be mended first: .*AI_LOG\.md:\d+:3: '-' is no day"):
        add_row(page, LATEST, "Ana", "a query", "tests pass")


# -- export


@pytest.fixture
def log(promptsales_db: Database) -> Iterator[AiLog]:
    made = AiLog(Target("promptsales", "postgresql", promptsales_db.url))
    yield made
    made.close()


def fresh(database: Database, page: Path, wanted: Filter | None = None, **options: bool) -> int:
    with open_reader(database.url) as reader:
        return write_export(page, reader, wanted or Filter(), **options)


def agrees(database: Database, page: Path) -> list[str]:
    assert check_page(page) == []
    with open_reader(database.url) as reader:
        return [str(one) for one in check_against(page, reader)]


def test_an_empty_log(promptsales_db: Database, page: Path) -> None:
    before = page.read_bytes()
    assert fresh(promptsales_db, page) == 0
    assert page.read_bytes() == before
    assert agrees(promptsales_db, page) == []


def test_export_again_and_again(promptsales_db: Database, page: Path, log: AiLog, make_call) -> None:
    with_rows(page, GOOD)
    before = page.read_text("utf-8")
    hand = before[: before.index("<!-- ai-log:mcp")]
    log.append(make_call())
    log.append(make_call("a|b <i>@x.org\n| - |", outcome="refused", error="no\n| such"))
    assert fresh(promptsales_db, page) == 2
    text = page.read_text("utf-8")
    assert text.startswith(hand)
    assert text.endswith(END + "\n")
    assert agrees(promptsales_db, page) == []
    assert fresh(promptsales_db, page) == 2
    assert page.read_text("utf-8") == text, "the same log gives the same page"
    log.append(make_call(server="promptcrm"))
    assert agrees(promptsales_db, page) == [], "what came later is no contradiction"
    assert fresh(promptsales_db, page) == 3
    found = anchor_in(page)
    assert found is not None
    assert found.number == 3
    assert agrees(promptsales_db, page) == []


def test_filters(promptsales_db: Database, page: Path, log: AiLog, make_call) -> None:
    for name, server in (("ana@x.org", "promptads"), ("eva@x.org", "promptads"), ("ana@x.org", "promptcrm")):
        log.append(make_call(name, server=server))
    for wanted, rows in (
        (Filter(name="ANA@x.org"), 2),
        (Filter(server="promptads"), 2),
        (Filter(name="eva@x.org", server="promptcrm"), 0),
        (Filter(since=today() + timedelta(2)), 0),
        (Filter(until=today() + timedelta(2)), 3),
    ):
        assert fresh(promptsales_db, page, wanted) == rows
        assert agrees(promptsales_db, page) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("20 rows", "21 rows", "this is not what the log has for entry 1"),
        ("ana\\@", "eva\\@", "this is not what the log has for entry 1"),
    ],
)
def test_a_page_that_was_edited_does_not_agree(
    promptsales_db: Database, page: Path, log: AiLog, make_call, old: str, new: str, said: str
) -> None:
    log.append(make_call())
    fresh(promptsales_db, page)
    page.write_text(page.read_text("utf-8").replace(old, new), "utf-8")
    (found,) = agrees(promptsales_db, page)
    assert said in found


def test_rows_that_were_taken_out_or_put_in(promptsales_db: Database, page: Path, log: AiLog, make_call) -> None:
    for _ in range(3):
        log.append(make_call())
    fresh(promptsales_db, page)
    whole = page.read_text("utf-8")
    lines = whole.split("\n")
    place = next(number for number, line in enumerate(lines) if line.endswith("entry 2 |"))
    page.write_text("\n".join(lines[:place] + lines[place + 1 :]), "utf-8")
    assert "entry 2 is missing before entry 3" in str(check_page(page)[0])
    page.write_text("\n".join([*lines[:place], lines[place], *lines[place:]]), "utf-8")
    assert "entry 2 stands behind entry 2" in str(check_page(page)[0])
    # of a filtered page only the log can tell
    page.write_text(whole, "utf-8")
    fresh(promptsales_db, page, Filter(server="promptads"))
    lines = page.read_text("utf-8").split("\n")
    page.write_text("\n".join(line for line in lines if not line.endswith("entry 2 |")), "utf-8")
    (found,) = agrees(promptsales_db, page)
    assert "not what the log has for entry 2" in found
    page.write_text("\n".join(line for line in lines if not line.endswith("entry 3 |")), "utf-8")
    (found,) = agrees(promptsales_db, page)
    assert "entry 3 of the log is missing" in found


def test_a_log_that_was_written_anew_is_not_exported(
    promptsales_db: Database, page: Path, log: AiLog, make_call
) -> None:
    """The page's anchor remembers; an export does not overwrite what it remembers unless it is told to."""
    for _ in range(3):
        log.append(make_call())
    fresh(promptsales_db, page)
    before = page.read_bytes()
    connection = promptsales_db.connect()
    connection.execute(
        "ALTER TABLE ai_log DISABLE TRIGGER ALL; ALTER TABLE ai_log_head DISABLE TRIGGER ALL; "
        "DELETE FROM ai_log WHERE number > 2; "
        "UPDATE ai_log_head SET (number, hash) = (SELECT number, hash FROM ai_log WHERE number = 2)"
    )
    (found,) = agrees(promptsales_db, page)
    assert "entry 3, which the anchor has seen, is missing" in found
    with pytest.raises(DataError, match=r"entry 3.*is missing.*--new-log"):
        fresh(promptsales_db, page)
    assert page.read_bytes() == before
    assert fresh(promptsales_db, page, new_log=True) == 2
    assert agrees(promptsales_db, page) == []


def test_a_broken_chain_is_not_exported(promptsales_db: Database, page: Path, log: AiLog, make_call) -> None:
    for _ in range(3):
        log.append(make_call())
    before = page.read_bytes()
    promptsales_db.connect().execute("ALTER TABLE ai_log DISABLE TRIGGER ALL; DELETE FROM ai_log WHERE number = 2")
    with pytest.raises(DataError, match="the AI log is not whole: entry 2 is missing; nothing was written"):
        fresh(promptsales_db, page)
    assert page.read_bytes() == before
    assert os.listdir(page.parent) == ["AI_LOG.md"]


def test_a_page_without_a_place_for_it(promptsales_db: Database, page: Path) -> None:
    page.write_text("# mine\n", "utf-8")
    with pytest.raises(DataError, match="there is no <!-- ai-log:mcp -->"):
        fresh(promptsales_db, page)
    assert page.read_text("utf-8") == "# mine\n"


def test_many_entries_do_not_need_memory_for_all(promptsales_db: Database, page: Path) -> None:
    connection = promptsales_db.connect()
    connection.execute(
        "INSERT INTO ai_log (server, method, target, subject, name, client, arguments, outcome, milliseconds) "
        "SELECT 'promptads', 'tools/call', 'x', '1', 'ana', 'c', jsonb_build_object('text', repeat('x', 4000), 'n', n), "
        "'ok', 1 "
        "FROM generate_series(1, 4000) AS n"
    )
    with open_reader(promptsales_db.url) as reader:
        tracemalloc.start()
        try:
            lines = sum(1 for _ in part_of_servers(reader, Filter()))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert lines == 4006
    assert peak < 8_000_000  # all of them are 16 MB of arguments
