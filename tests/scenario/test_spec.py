"""Isolation specifications: what is read of them, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import Location, ScenarioError
from harness.scenario.source import read_text
from harness.scenario.spec import Marker, Spec, parse
from harness.scenario.spec_text import BLOCK, END, NAME, NUMBER, tokens

FILE = Path("x.spec")
SPECS = sorted((Path(__file__).parents[1] / "postgresql_isolation" / "specs").glob("*.spec"))

GOOD = '''\
# A comment
setup { CREATE TABLE a (); }
setup
{
  CREATE TABLE b ();
}
teardown { DROP TABLE a, b; }

session s1
setup    { BEGIN; }
step r1  { SELECT 1; }
step c1  { COMMIT; }
teardown { ABORT; }

session "s 2"
step "r ""2""" { SELECT 2; }

permutation r1 c1 "r ""2"""
permutation r1(*) "r ""2"""(r1, c1 notices 3, *) c1 r1
'''


def spec(text: str) -> Spec:
    return parse(text, FILE)


def refused(text: str) -> str:
    """What is said of a text that is no specification, without its file's name."""
    with pytest.raises(ScenarioError) as caught:
        spec(text)
    return str(caught.value).removeprefix("x.spec:")


def words(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.text) for token in tokens(text, FILE)][:-1]


# -- what is read


def test_a_whole_one() -> None:
    made = spec(GOOD)
    assert [block.text for block in made.setups] == ["CREATE TABLE a ();", "\n  CREATE TABLE b ();\n"]
    assert made.teardown is not None
    assert made.teardown.text == "DROP TABLE a, b;"
    first, second = made.sessions
    assert (first.name, second.name) == ("s1", "s 2")
    assert first.setup is not None
    assert first.teardown is not None
    assert (first.setup.text, first.teardown.text) == ("BEGIN;", "ABORT;")
    assert second.setup is None
    assert second.teardown is None
    assert [(step.name, step.block.text) for step in first.steps] == [("r1", "SELECT 1;"), ("c1", "COMMIT;")]
    assert [step.name for step in second.steps] == ['r "2"']
    assert [[entry.step for entry in one.entries] for one in made.permutations] == [
        ["r1", "c1", 'r "2"'],
        ["r1", 'r "2"', "c1", "r1"],
    ]


def test_places() -> None:
    made = spec(GOOD)
    assert made.setups[1].place == Location(FILE, 4, 1)
    assert made.sessions[1].place == Location(FILE, 15, 9)
    assert made.sessions[0].steps[1].place == Location(FILE, 12, 6)
    assert made.sessions[0].steps[1].block.place == Location(FILE, 12, 10)
    assert made.permutations[1].place == Location(FILE, 19, 1)
    assert made.permutations[1].entries[2].place == Location(FILE, 19, 50)


def test_markers() -> None:
    markers = [entry.markers for entry in spec(GOOD).permutations[1].entries]
    assert markers == [
        (Marker("", None, Location(FILE, 19, 16)),),
        (
            Marker("r1", None, Location(FILE, 19, 29)),
            Marker("c1", 3, Location(FILE, 19, 33)),
            Marker("", None, Location(FILE, 19, 47)),
        ),
        (),
        (),
    ]


def test_a_marker_may_name_a_later_step_and_one_that_stands_twice() -> None:
    text = "session a step a1 {x} step a2 {x} session b step b1 {x} permutation a1(b1) b1(a2) a2 b1"
    assert spec(text).permutations[0].entries[0].markers[0].step == "b1"


def test_without_permutations() -> None:
    assert spec("session a step b {}").permutations == ()


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_postgresqls_own(file: Path) -> None:
    made = parse(read_text(file), file)
    text = read_text(file)
    assert sum(len(session.steps) for session in made.sessions) > 0
    for session in made.sessions:
        for step in session.steps:
            line = text.split("\n")[step.place.line - 1]
            assert line[step.place.column - 1 :].lstrip('"').startswith(step.name)


def test_there_are_specs() -> None:
    assert len(SPECS) == 40


# -- its words


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", []),
        ("a _b c$1 dÄ é1 日本", [NAME] * 6),
        ("1a", [NUMBER, NAME]),
        ("a(b,*)", [NAME, "(", NAME, ",", "*", ")"]),
        ("Setup SESSION setup session", [NAME, NAME, "setup", "session"]),
        ("step teardown permutation notices", ["step", "teardown", "permutation", "notices"]),
        ("setup1 steps", [NAME, NAME]),
        ('"setup" "a b" "a#b" "{x}" "\t" "ä"', [NAME] * 6),
        ("a#b\nc", [NAME, NAME]),
        ("a#b\rc", [NAME, NAME]),
        ("a # {\nb", [NAME, NAME]),
        ("a\f\r\n\tb", [NAME, NAME]),
        ("{a}{b}", [BLOCK, BLOCK]),
        ('{"}"x"', [BLOCK, NAME]),
        ("007", [NUMBER]),
    ],
)
def test_kinds(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in words(text)] == kinds


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('"a"', "a"),
        ('"a b"', "a b"),
        ('"a""b"', 'a"b'),
        ('""""', '"'),
        ('"a"""', 'a"'),
        ('"# no comment"', "# no comment"),
        ('" a "', " a "),
        ('"step"', "step"),
        ("Aé$9", "Aé$9"),
    ],
)
def test_quoted(written: str, name: str) -> None:
    assert words(written) == [(NAME, name)]


@pytest.mark.parametrize(
    ("written", "sql"),
    [
        ("{}", ""),
        ("{ \t\r\f }", ""),
        ("{a}", "a"),
        ("{ \t\r\fa \t\r\f}", "a"),
        ("{\n a\n}", "\n a\n"),
        ("{ \n a \n }", "\n a \n"),
        ("{ a\n \t}", "a\n"),
        ("{\u00a0a\v}", "\u00a0a\v"),  # blanks to others, not to this language
        ("{ { }", "{"),
        ("{ SELECT '#' -- \"x }", "SELECT '#' -- \"x"),
        ("{ a\r\n}", "a\r\n"),
    ],
)
def test_blocks(written: str, sql: str) -> None:
    assert words(written) == [(BLOCK, sql)]


def test_lines_count_through_blocks_and_comments() -> None:
    found = list(tokens("# x\n{a\n\nb} c\n\td\r\n  é e", FILE))
    assert [(token.place.line, token.place.column) for token in found] == [
        (2, 1),
        (4, 4),
        (5, 2),
        (6, 3),
        (6, 5),
        (6, 6),
    ]
    assert found[-1].kind == END


# -- what is wrong: characters

START = "session s\nstep a { SELECT 1; }\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("session s; step a {x}", "1:10: the character ';' means nothing here"),
        ("session s\n  step a-b {x}", "2:9: the character '-' means nothing here: a name with other characters than"),
        ("-- x\nsession s", "1:1: the character '-' means nothing here"),
        ("session 's'", "1:9: the character \"'\" means nothing here: a name is put into double quotes"),
        ("session s step a {x}}", "1:21: the character '}' means nothing here: an SQL block ends at its first '}'"),
        ("session s step $a {x}", "1:16: the character '$' means nothing here"),
        ("session s step\va {x}", "1:15: the character '\\x0b' means nothing here"),
        ('session "s\nstep" {x}', "1:9: a quote is not closed in its line"),
        ('session "s', "1:9: a quote is not closed in its line"),
        ('session "s""\n', "1:9: a quote is not closed in its line"),
        ('session s step "a" {x}\nstep "b {x}\n', "2:6: a quote is not closed in its line"),
        ('session ""', "1:9: a name is empty"),
        ("session s\nstep a\n  { SELECT 1;\n", "3:3: an SQL block is not closed: there is no '}' after it"),
        ("setup {x\nsession s step a {y\n", "1:7: an SQL block is not closed"),
        ("session s step a {\0}", "1:19: a NUL character cannot stand in it"),
        ("# \0", "1:3: a NUL character cannot stand in it"),
        (START + "session t step b {x}\npermutation a b(a notices 2147483648)", "4:27: the number is too large (at most"),
        (START + f"session t step b {{x}}\npermutation a b(a notices {'9' * 9999})", "4:27: the number is too large"),
    ],
)  # fmt: skip
def test_characters(text: str, said: str) -> None:
    assert refused(text).startswith(said)


def test_the_largest_number() -> None:
    made = spec(START + f"session t step b {{x}} permutation a b(a notices {'0' * 9999}2147483647)")
    assert made.permutations[0].entries[1].markers[0].notices == 2**31 - 1


# -- what is wrong: the order


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: there is no session in this file"),
        ("# nothing\n", "2:1: there is no session in this file"),
        ("setup {x}\nteardown {y}", "2:13: there is no session in this file"),
        ("hello", "1:1: here should be 'setup' or 'teardown' or 'session', not 'hello'"),
        ("sesion s", "1:1: here should be 'setup' or 'teardown' or 'session', not 'sesion', did you mean 'session'?"),
        ("Session s", "1:1: here should be 'setup' or 'teardown' or 'session', not 'Session', did you mean 'session'?"),
        ('"session" s', "1:1: here should be 'setup' or 'teardown' or 'session', not 'session'"),
        ("{ SELECT 1; }", "1:1: here should be 'setup' or 'teardown' or 'session', not an SQL block"),
        ("teardown {x}\nsetup {y}\nsession s step a {z}", "2:1: 'setup' must stand before 'teardown'"),
        ("teardown {x} teardown {y}", "1:14: a second 'teardown': there can be one, before the sessions"),
        ("teardown {x} foo", "1:14: here should be 'session', not 'foo'"),
        ("setup {x}\nstep a {y}", "2:1: a step belongs to a session: 'session NAME' must stand before it"),
        ("permutation a", "1:1: a permutation stands after the sessions, and there is none before it"),
        ("setup session", "1:7: here should be an SQL block, { … }, after 'setup', not 'session'"),
        ("setup", "1:6: here should be an SQL block, { … }, after 'setup', not the end of the file"),
        ("session", "1:8: here should be a name after 'session', not the end of the file"),
        ("session {x}", "1:9: here should be a name after 'session', not an SQL block"),
        ("session step", "1:9: here should be a name after 'session', not 'step': a name that is a word of the langu"),
        ("session 5", "1:9: here should be a name after 'session', not '5'"),
        ("session s", "1:10: session 's' has no step: 'step NAME { SQL }' is missing"),
        ("session s\nsession t step a {x}", "2:1: session 's' has no step"),
        ("session s\npermutation a", "2:1: session 's' has no step"),
        ("session s setup {x} setup {y}", "1:21: a second 'setup' in session 's': a session can have one"),
        ("session s teardown {x}", "1:11: the teardown of session 's' must stand after its steps"),
        ("session s setup {x} teardown {y}", "1:21: the teardown of session 's' must stand after its steps"),
        ("session s stpe a {x}", "1:11: here should be 'setup' or 'step', not 'stpe', did you mean 'step'?"),
        ("session s setup {x} stpe a {x}", "1:21: here should be 'step', not 'stpe', did you mean 'step'?"),
        ("session s step {x}", "1:16: here should be a name after 'step', not an SQL block"),
        ("session s step setup {x}", "1:16: here should be a name after 'step', not 'setup': a name that is a word"),
        ("session s step a", "1:17: here should be an SQL block, { … }, after step 'a', not the end of the file"),
        ("session s step a b {x}", "1:18: here should be an SQL block, { … }, after step 'a', not 'b'"),
        (START + "setup {x}", "3:1: 'setup' must stand before the steps of session 's', or, for all, before the first"),
        (START + "teardown {x}\nstep b {y}", "4:1: a step of session 's' must stand before its teardown"),
        (START + "teardown {x}\nteardown {y}", "4:1: a second 'teardown' in session 's': a session can have one"),
        (START + "teardown {x}\nsetup {y}", "4:1: 'setup' must stand before the steps of session 's'"),
        (START + "stp b {x}", "3:1: here should be 'step' or 'teardown' or 'session' or 'permutation', not 'stp', did"),
        (START + "teardown {x} foo", "3:14: here should be 'session' or 'permutation', not 'foo'"),
        (START + "permutation a\nsession t step b {x}", "4:1: 'session' must stand before the permutations"),
        (START + "permutation a\nsetup {x}", "4:1: 'setup' must stand before the permutations"),
        (START + "permutation a\nteardown {x}", "4:1: 'teardown' must stand before the permutations"),
        (START + "permutation a\nstep b {x}", "4:1: 'step' must stand before the permutations"),
        (START + "permutation", "3:12: here should be the name of a step after 'permutation', not the end of the file"),
        (START + "permutation (a)", "3:13: here should be the name of a step after 'permutation', not '('"),
        (START + "permutation permutation a", "3:13: here should be the name of a step after 'permutation', not 'perm"),
        (START + "permutation a, a", "3:14: here should be the name of a step, or 'permutation', not ','"),
        (START + "permutation a 5", "3:15: here should be the name of a step, or 'permutation', not '5'"),
        (START + "permutation a notices", "3:15: here should be the name of a step, or 'permutation', not 'notices'"),
        (START + "permutation a()", "3:15: here should be a marker: '*', the name of a step, or that and 'notices'"),
        (START + "permutation a(", "3:15: here should be a marker: '*', the name of a step, or that and 'notices' and"),
        (START + "permutation a(step)", "3:15: here should be a marker: '*', the name of a step, or that and 'noti"),
        (START + "permutation a(*", "3:16: here should be ',' or ')' in the markers of 'a', not the end of the file"),
        (START + "permutation a(* *)", "3:17: here should be ',' or ')' in the markers of 'a', not '*'"),
        (START + "permutation a(*,)", "3:17: here should be a marker"),
        (START + "permutation a(b notices)", "3:24: here should be a number after 'notices', not ')'"),
        (START + "permutation a(b notice 3)", "3:17: here should be ',' or ')' in the markers of 'a', not 'notice'"),
        (START + "permutation a(* notices 3)", "3:17: here should be ',' or ')' in the markers of 'a', not 'notices'"),
    ],
)  # fmt: skip
def test_order(text: str, said: str) -> None:
    assert refused(text).startswith(said)


# -- what is wrong: names

TWO = "session s\nstep a {x}\nstep b {x}\nsession t\nstep c {x}\nstep d {x}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            TWO + "step a {x}",
            "7:6: step 'a' is in line 2, session 's', already: a step's name must be unique in the file",
        ),
        ('session s step a {x}\nstep "a" {x}', "2:6: step 'a' is in line 1, session 's', already"),
        (TWO + "session s step e {x}", "7:9: session 's' stands here a second time (first in line 1)"),
        (TWO + "permutation a e", "7:15: unknown step 'e' in the permutation (known: a, b, c, d)"),
        (TWO + "permutation a A", "7:15: unknown step 'A' in the permutation (known: a, b, c, d)"),
        (
            "session s step read1 {x}\npermutation raed1",
            "2:13: unknown step 'raed1' in the permutation, did you mean 'read1'? (known: read1)",
        ),
        (TWO + "permutation a c(e)", "7:17: unknown step 'e' in the markers of 'c' (known: a, c)"),
        (TWO + "permutation a c(*, e notices 2)", "7:20: unknown step 'e' in the markers of 'c'"),
        (TWO + "permutation a c(b)", "7:17: step 'b', which holds 'c' back, is not in this permutation"),
        (TWO + "permutation b\npermutation a c(b)", "8:17: step 'b', which holds 'c' back, is not in this permutation"),
        (TWO + "permutation c d(c)", "7:17: step 'd' cannot be held back by 'c' of its own session"),
        (TWO + "permutation c(c)", "7:15: step 'c' cannot be held back by 'c' of its own session"),
    ],
)
def test_names_that_are_not_there(text: str, said: str) -> None:
    assert refused(text).startswith(said)


# -- the file


def test_other_encodings(tmp_path: Path) -> None:
    file = tmp_path / "x.spec"
    file.write_bytes(b"session s\nstep a { caf\xe9 }\n")
    with pytest.raises(ScenarioError) as caught:
        read_text(file)
    assert str(caught.value) == f"{file}:2:13: is not UTF-8 text (byte 0xe9)"


def test_newlines_stay(tmp_path: Path) -> None:
    file = tmp_path / "x.spec"
    file.write_bytes(b"\xef\xbb\xbfsession s\r\nstep a { x\r\ny }\r\n")
    assert parse(read_text(file), file).sessions[0].steps[0].block.text == "x\r\ny"


@pytest.mark.parametrize("name", ["none.spec", "."])
def test_unreadable(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScenarioError, match=r"cannot be read: (No such file|Is a directory|Permission denied)"):
        read_text(tmp_path / name)
