from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.elle import edn
from harness.evidence.elle.edn import Keyword, Symbol, Unreadable


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        (" true ", True),
        ("-7", -7),
        ("+7", 7),
        ("12345678901234567890N", 12345678901234567890),
        ("2.5", 2.5),
        ("1e3", 1000.0),
        ("3.0M", 3.0),
        ("##-Inf", -math.inf),
        (":invoke", "invoke"),
        (":jepsen.history/op", "jepsen.history/op"),
        ('"a \\"b\\" \\u00e9\\n"', 'a "b" é\n'),
        ('"two\nlines"', "two\nlines"),
        ("\\newline", "\n"),
        ("\\a", "a"),
        ("java.lang.Exception", Symbol("java.lang.Exception")),
        ("(1 2)", [1, 2]),
        ("[1,2,,3]", [1, 2, 3]),
        ("[]", []),
        ("#{1 [2 3]}", frozenset({1, (2, 3)})),
        ("{:a 1, [1 2] nil}", {"a": 1, (1, 2): None}),
        ('#inst "2026-01-01"', "2026-01-01"),
        ("#jepsen.history.Op{:type :ok}", {"type": "ok"}),
        ("[1 #_2 3 #_ [4 5]]", [1, 3]),
        ("[#_#_ 1 2 3]", [3]),
        ("#_ 1 2", 2),
        ("[1 ; a comment ]\n 2]", [1, 2]),
        ("#tag #other 5", 5),
    ],
    ids=str,
)
def test_what_is_read(text: str, value: Any) -> None:
    read = edn.loads(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("", "there is nothing", 0),
        ("#_ 1", "there is nothing", 0),
        ("1 2", "there is more after the form", 2),
        ("[1 2", "the vector that begins here never ends", 0),
        ("{:a [1 #{2", "the set that begins here never ends", 7),
        ("[1 2)", ") where ] should be", 4),
        ("{:a}", "a map has a key without a value", 0),
        ("[{:a 1 :a 2}]", "a map has the same key twice", 1),
        ("#{{:a 1}}", "a map is a key of a map, or in a set", 0),
        ('[1 "abc]', 'a text that begins with " never ends', 3),
        ('"\\q"', "\\q in a text means nothing", 0),
        ("[: ]", "a colon without a name", 1),
        ("[#_]", "] where a form should be", 3),
        ("#", "'#' begins nothing", 0),
        ("9" * 5000, "a number of 5,000 digits", 0),
        ("[" * 200, "more than 100 collections within each other", 100),
    ],
    ids=lambda one: str(one)[:20],
)
def test_what_is_wrong(text: str, message: str, offset: int) -> None:
    with pytest.raises(Unreadable) as caught:
        edn.loads(text)
    assert (caught.value.message, caught.value.offset) == (message, offset)


def test_deep_nesting_and_an_endless_text_take_no_time() -> None:
    for text in ("[" * 300_000, "{:a " * 300_000, '"' + "\\\\a" * 300_000, "#_" * 300_000, "#a " * 300_000):
        with pytest.raises(Unreadable):
            list(edn.forms(text))


@pytest.mark.parametrize("between", [" ", "", ",", "\n"], ids=repr)
def test_a_long_line_is_read_once_not_for_each_operation(between: str) -> None:
    many = between.join(f"{{:type :ok, :value {{0 {number}}}}}" for number in range(20_000))
    read = [form["value"][0] for _, form in edn.forms(f"[{many}]")]
    assert read == list(range(20_000))


@pytest.mark.parametrize(
    "text",
    [
        "{:a 1}\n{:b [:r 1 nil]}\n",
        "[{:a 1}\n {:b [:r 1 nil]}]",
        "; before\n[ {:a 1} #_ {:c 3}\n{:b [:r 1 nil]} #_{}\n] ; after\n",
        "({:a 1} {:b [:r 1 nil]})",
        "{:a 1} {:b [:r 1 nil]}",
        "{:a\n 1}\n\n{:b [:r\n 1 nil]}",
        "#op {:a 1}\r\n#op {:b [:r 1 nil]}\r\n",
        "{ :a 1, },\n{:b [ :r, 1 nil ] },",
    ],
    ids=str,
)
def test_operations_stand_in_lines_or_in_a_vector(text: str) -> None:
    assert [form for _, form in edn.forms(text)] == [{"a": 1}, {"b": ["r", 1, None]}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{:a 1}\n{:b 2}", "the vector that begins here never ends"),
        ("[{:a 1}]\n{:b 2}", "there is more after the vector that holds the operations"),
        ("{:a 1}]", "] closes nothing"),
        ("{:a 1 :a 2}", "a map has the same key twice"),
        ("{:a}", "a map has a key without a value"),
        ("{:a 1}\x00", None),
    ],
    ids=str,
)
def test_a_file_that_is_wrong(text: str, message: str | None) -> None:
    if message is None:
        assert [form for _, form in edn.forms(text)][-1] == Symbol("\x00")
        return
    with pytest.raises(Unreadable) as caught:
        list(edn.forms(text))
    assert caught.value.message == message


_NAMES = st.from_regex(r"[a-z][a-z0-9.+_-]{0,8}", fullmatch=True)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    _NAMES.map(Keyword),
    st.sampled_from(["nil", "true", "{", "}", ":a"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES.map(Keyword) | st.integers(), inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None, derandomize=True)
@given(_VALUES)
def test_what_is_written_is_read(value: Any) -> None:
    assert edn.loads(edn.dumps(value)) == value


_OPERATIONS = st.lists(
    st.dictionaries(
        st.sampled_from(["type", "f", "value", "process", "nil", "x-1"]).map(Keyword),
        st.one_of(
            st.none(),
            st.integers(),
            st.floats(allow_nan=False),
            st.sampled_from(["ok", "nil", "a.b", "r"]).map(Keyword),
            st.text(alphabet='a:{}[]"nil ,', max_size=4),
            st.lists(st.lists(st.none() | st.integers() | _NAMES.map(Keyword) | st.just([]), max_size=3), max_size=3),
            st.dictionaries(st.integers(), st.none() | st.integers(), max_size=2),
        ),
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    _OPERATIONS, st.sampled_from(["\n", ",\n", " ", " ;x\n", "\r\n", "\n\n"]), st.sampled_from(["  ", " , ", " ", "\t"])
)
def test_the_quick_way_reads_what_the_tokenizer_reads(operations: list[Any], between: str, blank: str) -> None:
    text = between.join(edn.dumps(one) for one in operations)
    if '"' not in text:
        text = text.replace(" ", blank)
    for whole in (text, f"[{text}]"):
        quick = [form for _, form in edn.forms(whole)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(edn, "_plain", lambda *_: None)
            assert [form for _, form in edn.forms(whole)] == quick
        assert quick == operations


def outcome(text: str) -> Any:
    try:
        return list(edn.forms(text))
    except Unreadable as error:
        return error.message, 0 <= error.offset <= len(text)


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet='{}[]()#_"\\:;, \n0a-.N^', max_size=30))
def test_whatever_it_is_it_is_read_or_refused(text: str) -> None:
    quick = outcome(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edn, "_plain", lambda *_: None)
        assert outcome(text) == quick
    assert isinstance(quick, list) or quick[1]


def test_what_no_notation_has_is_refused() -> None:
    with pytest.raises(TypeError, match="no notation for <object"):
        edn.dumps([object()])
