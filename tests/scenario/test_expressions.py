from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ScenarioError
from harness.scenario.expressions import (
    DatabaseName,
    Expression,
    bind_sql,
    check_sql,
    expressions,
    fill,
    parse,
    used_in,
)
from harness.scenario.wanted import comparison


def test_a_text_in_parts() -> None:
    assert parse("SET x = ${x + 1} IN ${databases.ads}.t") == (
        "SET x = ",
        Expression("x + 1"),
        " IN ",
        DatabaseName("ads"),
        ".t",
    )
    assert parse("costs $${x} and $5") == ("costs ", "${", "x} and $5")
    assert parse("plain") == ("plain",)


@pytest.mark.parametrize("text", ["${", "${x", "a ${x b", "${{x}}", "${ {1: 2}[x] }", "${x} ${y"])
def test_an_expression_that_is_not_closed(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"is not closed by '}', or has braces in it"):
        parse(text)


@pytest.mark.parametrize("text", ["${}", "${ }", "${1 +}", "${x y}", "${x = 1}", "${import os}"])
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"is not an expression"):
        parse(text)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("budget - 100", 900),
        ("min(budget, 5)", 5),
        ("'low' if budget > 5 else 'high'", "low"),
        ("int(text) + 1", 8),
        ("[row for row in rows if row > 1]", [2, 3]),
        ("rows[0]", 1),
        ("len(rows) == 3", True),
    ],
)
def test_values(source: str, value: Any) -> None:
    assert Expression(source).evaluate({"budget": 1000, "text": "7", "rows": [1, 2, 3]}) == value


@pytest.mark.parametrize(
    "source",
    [
        "missing",
        "budget / 0",
        "budget + text",
        "int('x')",
        "rows[9]",
        "__import__('os')",
        "budget.__class__",
        "9 ** 9 ** 9",
    ],
)
def test_what_cannot_be_computed_says_what_is_known(source: str) -> None:
    with pytest.raises(ScenarioError, match=r"^cannot compute \$\{.*\(known names: budget, rows, text\)$"):
        Expression(source).evaluate({"budget": 1000, "text": "7", "rows": [1]})


def test_names() -> None:
    assert Expression("max(a, b) + [x for x in c][0] + d[e]").names() == {"a", "b", "c", "d", "e"}
    assert Expression("1 + 1").names() == set()


@pytest.mark.parametrize(
    "text",
    [
        "'${x}'",
        "a = 'it''s ${x}'",
        'SELECT "${x}"',
        "-- ${x}\nSELECT 1",
        "/* ${x} */ SELECT 1",
        "DO $$ BEGIN ${x}; END $$",
    ],
)
def test_values_are_bound_so_not_in_quotes(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"\$\{x\} stands inside (quotes|a comment)"):
        check_sql(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = ${x}",
        "a = 'it''s' AND b = ${x}",
        "-- don't\nSELECT ${x}",
        "/* don't */ SELECT ${x}",
        "SELECT 'a' || ${x} || 'b'",
        "EXEC('USE ${databases.ads}')",
        "a = '$${x}' AND b = ${x}",
        "SELECT ${x}, $$plain$$",
    ],
)
def test_values_beside_quotes(text: str) -> None:
    check_sql(text)


def test_the_right_one_is_named() -> None:
    with pytest.raises(ScenarioError, match=r"\$\{b\} stands inside"):
        check_sql("x = ${a} AND y = '${b}' AND z = ${c}")


def test_bind() -> None:
    text, values = bind_sql(
        "UPDATE ${databases.ads}.t SET a = ${x + 1}, b = ${x} WHERE c = '$${x}'",
        {"x": 1},
        lambda n: f"${n}",
        "[{}]".format,
    )
    assert text == "UPDATE [ads].t SET a = $1, b = $2 WHERE c = '${x}'"
    assert values == (2, 1)


def test_fill_keeps_types() -> None:
    document = {"update": "t", "q": {"a": "${x}"}, "list": ["${x + 1}", "v${x}", 5, None, True], "$inc": {"n": 1}}
    assert fill(document, {"x": 1}) == {
        "update": "t",
        "q": {"a": 1},
        "list": [2, "v1", 5, None, True],
        "$inc": {"n": 1},
    }
    assert [one.source for one in used_in(document)] == ["x", "x + 1", "x"]
    assert expressions("a${x}b${y}") == [Expression("x"), Expression("y")]


def test_a_database_name_is_for_sql_only() -> None:
    with pytest.raises(ScenarioError, match="can stand in SQL only"):
        fill({"a": "x ${databases.ads}"}, {})


@pytest.mark.parametrize(
    ("wanted", "parts"),
    [
        ("< 400", ("<", Expression("400"))),
        (">=committed ", (">=", Expression("committed"))),
        ("!= initial_x", ("!=", Expression("initial_x"))),
        ("400", None),
        ("a < b", None),
        ("<", None),
        (400, None),
        (None, None),
    ],
)
def test_comparison(wanted: Any, parts: Any) -> None:
    assert comparison(wanted) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a == 1", ["a == 1"]),
        ("a == 1 and b > 2 and c", ["a == 1", "b > 2", "c"]),
        ("(a and b) and c or d", ["(a and b) and c or d"]),
        ("a and (b and c)", ["a", "b", "c"]),
    ],
)
def test_conjuncts(text: str, parts: list[str]) -> None:
    assert [part.source for part in Expression(text).conjuncts()] == parts


def test_sides() -> None:
    assert Expression("a + 1 != b").sides() == (Expression("a + 1"), "!=", Expression("b"))
    for text in ("a", "a < b < c", "a in b", "a == 1 and b == 1", "not a == 1"):
        assert Expression(text).sides() is None
    with pytest.raises(ScenarioError, match="'a =' is not an expression"):
        Expression("a =").sides()
