from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ScenarioError
from harness.evidence.checker.model import MicroOp, Observed, Status, Transaction, Workload
from harness.evidence.elle.read import read_file, read_history

LINES = """\
{:index 0 :type :invoke :process 0 :f :txn :value [[:append 5 1] [:r :y nil]] :time 10}
{:index 1, :type :invoke, :process 1, :f :txn, :value [[:r 5 nil]], :time -1}
{:type :info, :process :nemesis, :f :kill, :value ["n1" :all]}
{:type :ok, :process 1, :f :txn, :value [[:r 5 [1]]], :time 30} ; seen
{:type :ok, :process 0, :f :txn, :value [[:append 5 1] [:r :y nil]], :time 40}
{:type :invoke, :process 0, :f :txn, :value [[:append 5 2]]}
{:type :fail, :process 0, :f :txn, :value [[:append 5 2]], :error [:aborted "no"]}
{:type :invoke, :process 0, :f :txn, :value [[:append 5 3] [:r 5 nil]]}
{:type :info, :process 0, :f :txn, :value :timed-out, :error :timeout}
{:type :invoke, :process 2, :f :txn, :value [[:append 5 4]]}
"""
WANTED = (
    Transaction(0, 0, Status.ok, (MicroOp("append", 5, 1), MicroOp("r", "y", ())), 0, 3, 10, 40),
    Transaction(1, 1, Status.ok, (MicroOp("r", 5, (1,)),), 1, 2, None, 30),
    Transaction(2, 0, Status.fail, (MicroOp("append", 5, 2),), 4, 5, error='[:aborted "no"]'),
    Transaction(3, 0, Status.info, (MicroOp("append", 5, 3), MicroOp("r", 5)), 6, 7, error="timeout"),
    Transaction(4, 2, Status.info, (MicroOp("append", 5, 4),), 8),
)
AS_JSON: list[dict[str, Any]] = [
    {"type": "invoke", "process": 0, "f": "txn", "value": [["append", 5, 1], ["r", "y", None]], "time": 10},
    {"type": "invoke", "process": 1, "f": "txn", "value": [["r", 5, None]], "time": -1},
    {"type": "info", "process": "nemesis", "f": "kill", "value": ["n1"]},
    {"type": "ok", "process": 1, "f": "txn", "value": [["r", 5, [1]]], "time": 30},
    {"type": "ok", "process": 0, "f": "txn", "value": [["append", 5, 1], ["r", "y", None]], "time": 40},
    {"type": "invoke", "process": 0, "f": "txn", "value": [["append", 5, 2]]},
    {"type": "fail", "process": 0, "f": "txn", "value": [["append", 5, 2]], "error": ["aborted", "no"]},
    {"type": "invoke", "process": 0, "f": "txn", "value": [["append", 5, 3], ["r", 5, None]]},
    {"type": "info", "process": 0, "f": "txn", "value": "timed-out", "error": "timeout"},
    {"type": "invoke", "process": 2, "f": "txn", "value": [["append", 5, 4]]},
]


def read(folder: Path, text: str | bytes, name: str = "history.edn", workload: Workload | None = None) -> Observed:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_history(file, workload)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("history.edn", LINES),
        ("history.edn", f"; a history\n[{LINES}]"),
        ("history.edn", f"({LINES.replace('{:', '#jepsen.history.Op{:')})"),
        ("history.txt", LINES),
        ("history.json", LINES),
        ("history.json", json.dumps(AS_JSON)),
        ("history.json", json.dumps(AS_JSON, indent=2)),
        ("history.jsonl", "\n".join(json.dumps(one) for one in AS_JSON)),
        ("history.txt", "\n\n".join(json.dumps(one) for one in AS_JSON) + "\n"),
        ("history", "\ufeff" + json.dumps(AS_JSON)),
    ],
    ids=["lines", "vector", "list", "lines.txt", "edn.json", "array", "indented", "jsonl", "jsonl.txt", "bom"],
)
def test_one_history_in_all_shapes(tmp_path: Path, name: str, text: str) -> None:
    made = read(tmp_path, text, name)
    assert made.workload is Workload.list_append
    assert made.transactions == WANTED
    assert made.source == str(tmp_path / name)


def test_a_history_of_completions_tells_nothing_of_time(tmp_path: Path) -> None:
    file = tmp_path / "h.edn"
    file.write_text("{:type :ok :process 0 :value [[:append :x 1]]}\n{:type :ok :process 0 :value [[:r :x [1]]]}")
    made = read_file(file)
    assert [(one.invoked, one.completed) for one in made.observed.transactions] == [(0, 0), (0, 1)]
    assert "which transactions overlapped in time is not known" in made.notes[0]


def test_who_has_no_process_is_somebody_else_each_time(tmp_path: Path) -> None:
    file = tmp_path / "h.edn"
    op = "{:type :invoke :value [[:r :x nil]]} {:type :ok :value [[:r :x [1]]]}\n"
    file.write_text(op * 2)
    made = read_file(file)
    assert [one.process for one in made.observed.transactions] == ["?0", "?1"]
    assert [(one.invoked, one.completed) for one in made.observed.transactions] == [(0, 1), (2, 3)]
    assert made.notes == ["operations without :process are taken to be of a session of their own each"]


@pytest.mark.parametrize(
    ("value", "workload", "ops"),
    [
        ("[[:r 1 nil] [:append 1 2]]", Workload.list_append, (MicroOp("r", 1, ()), MicroOp("append", 1, 2))),
        ("[[:r 1 [2 3]]]", Workload.list_append, (MicroOp("r", 1, (2, 3)),)),
        ("[[:r 1 nil] [:w 1 2]]", Workload.rw_register, (MicroOp("r", 1), MicroOp("w", 1, 2))),
        ("[[:r 1 nil]]", Workload.rw_register, (MicroOp("r", 1),)),
        ('[[:r 1 [5 "a"]] [:w 1 [4 "b"]]]', Workload.bank, (MicroOp("r", 1, (5, "a")), MicroOp("w", 1, (4, "b")))),
        ("[[:r 1 5] [:inc 1 [2 7]]]", Workload.counter, (MicroOp("r", 1, 5), MicroOp("inc", 1, (2, 7)))),
        ("[[:inc 1 2]]", Workload.counter, (MicroOp("inc", 1, (2, None)),)),
    ],
    ids=str,
)
def test_the_operations_tell_the_workload(tmp_path: Path, value: str, workload: Workload, ops: tuple[MicroOp]) -> None:
    made = read(tmp_path, f"{{:type :ok :process 0 :f :txn :value {value}}}")
    assert (made.workload, made.transactions[0].ops) == (workload, ops)


def test_the_workload_may_be_told(tmp_path: Path) -> None:
    made = read(tmp_path, "{:type :ok :process 0 :f :txn :value [[:r 1 nil]]}", workload=Workload.list_append)
    assert made.transactions[0].ops == (MicroOp("r", 1, ()),)


@pytest.mark.parametrize("name", ["bank.edn", "bank.json"])
def test_jepsens_bank(tmp_path: Path, name: str) -> None:
    edn = """\
{:type :invoke, :f :read, :process 0}
{:type :ok, :f :read, :process 0, :value {0 10, 1 20}}
{:type :invoke, :f :transfer, :process 0, :value {:from 0, :to 1, :amount 5}}
{:type :fail, :f :transfer, :process 0, :value [:negative 0 -5]}
{:type :invoke, :f :read, :process 1}
{:type :ok, :f :read, :process 1, :value {0 5, 1 20}}
"""
    as_json = [
        {"type": "invoke", "f": "read", "process": 0},
        {"type": "ok", "f": "read", "process": 0, "value": {"0": 10, "1": 20}},
        {"type": "invoke", "f": "transfer", "process": 0, "value": {"from": 0, "to": 1, "amount": 5}},
        {"type": "fail", "f": "transfer", "process": 0, "value": ["negative", 0, -5]},
        {"type": "invoke", "f": "read", "process": 1},
        {"type": "ok", "f": "read", "process": 1, "value": {"0": 5, "1": 20}},
    ]
    file = tmp_path / name
    file.write_text(edn if name.endswith("edn") else json.dumps(as_json))
    made = read_file(file)
    observed = made.observed
    assert (observed.workload, observed.total) == (Workload.bank, 30)
    assert [one.ops for one in observed.transactions] == [
        (MicroOp("r", 0, 10), MicroOp("r", 1, 20)),
        (),
        (MicroOp("r", 0, 5), MicroOp("r", 1, 20)),
    ]
    assert made.notes == [
        "the file does not say what all accounts have together: 30, as T0 reads;"
        " of 2 reads of all accounts 1 show that, and the others contradict it"
    ]


@pytest.mark.parametrize(
    ("reads", "total", "note"),
    [
        (["{1 50, 2 50}", "{1 50, 2 50, 3 50}", "{1 40, 2 60, 3 50}"], 150, "150, as T1 reads"),
        (
            ["{1 40, 2 50}", "{1 50, 2 50}", "{1 60, 2 40}"],
            100,
            "100, as T1 reads; of 3 reads of all accounts 2 show that, and the others contradict it",
        ),
    ],
    ids=["of fewer accounts", "of another sum"],
)
def test_the_total_of_jepsens_bank_is_what_most_reads_of_all_accounts_show(
    tmp_path: Path, reads: list[str], total: int, note: str
) -> None:
    file = tmp_path / "bank.edn"
    file.write_text("".join(f"{{:type :ok, :f :read, :process 0, :value {value}}}\n" for value in reads))
    made = read_file(file)
    assert made.observed.total == total
    assert f"the file does not say what all accounts have together: {note}" in made.notes


def test_jepsens_counter(tmp_path: Path) -> None:
    text = """\
{:type :invoke, :f :add, :value 2, :process 0}
{:type :ok, :f :add, :process 0}
{:type :invoke, :f :read, :process 1}
{:type :ok, :f :read, :value 2, :process 1}
{:type :invoke, :f :read, :process 1}
"""
    made = read(tmp_path, text)
    assert made.workload is Workload.counter
    assert [one.ops for one in made.transactions] == [
        (MicroOp("inc", "counter", (2, None)),),
        (MicroOp("r", "counter", 2),),
        (),
    ]


INVOKE = "{:type :invoke :process 3 :f :txn :value [[:append 1 1]]}\n"


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("", "", "there is no operation in it"),
        ("[]", "", "there is no operation in it"),
        (
            INVOKE * 2,
            ":2:1",
            "operation 2: process 3 invokes again, and what became of its operation 1 is not told: it needs",
        ),
        (
            INVOKE + "{:type :ok :process 4 :value [[:r 1 nil]]}",
            ":2:1",
            "operation 2: :ok of process 4, which has invoked nothing: its :invoke line is missing",
        ),
        (
            "{:type :ok :process 4 :value [[:r 1 nil]]}\n" + INVOKE,
            ":1:1",
            "operation 1: :ok of process 4, which has invoked nothing: its :invoke line is missing",
        ),
        ("{:type :invok}", ":1:1", "operation 1: its :type is :invok, did you mean 'invoke'?; it is one of :invoke"),
        ("{:f :txn}", ":1:1", "operation 1: there is no :type; it is one of :invoke, :ok, :fail, :info"),
        ("{:type [:ok]}", ":1:1", "operation 1: its :type is [:ok]; it is one of"),
        ("[1 2]", ":1:2", "operation 1: 1 is no map with a :type, a :process and a :value"),
        ("{:type :ok :process [1]}", ":1:1", "operation 1: its :process is [1]; it is a number, a name or :nemesis"),
        ("{:type :ok :process 1 :time 1.5}", ":1:1", "operation 1: its :time is 1.5; it is a whole number"),
        ("{:type :ok :process 1 :value [[:append 1 2]", ":1:30", "the vector that begins here never ends"),
        (
            "{:type :ok :process 1}\n{:type :ok :process 1 :f :txn :value [[:r 1 [2]] [:append 1 2]]}",
            ":1:1",
            "operation 1: its :value is nil; it is a vector of micro-operations like [:r 6 nil]",
        ),
        (
            "{:type :ok :process 1 :value [[:append 1 2] [:w 1 2]]}",
            ":1:1",
            "operation 1: [:w 1 2] is no micro-operation of list-append, which has :r and :append",
        ),
        (
            "{:type :ok :process 1 :value [[:append 1]]}",
            ":1:1",
            "operation 1: [:append 1]: an element is a number or a",
        ),
        ("{:type :ok :process 1 :value [[:append 1 2] 7]}", ":1:1", "operation 1: 7 is no micro-operation"),
        ("{:type :ok :process 1 :value [[:append 1.5 2]]}", ":1:1", "operation 1: 1.5 in [:append 1.5 2] is no key"),
        ("{:type :ok :process 1 :value [[:append true 2]]}", ":1:1", "operation 1: true in"),
        ("{:type :ok :process 1 :value [[:append 1 word]]}", ":1:1", 'operation 1: [:append 1 "word"]: an element'),
        ("{:type :ok :process 1 :value [[:append 1 ##NaN]]}", ":1:1", "operation 1: [:append 1 ##NaN]: an element"),
        ("{:type :ok :process 1 :value [[:append 1 2] [:r 1 3]]}", ":1:1", "operation 1: [:r 1 3]: a list reads as a"),
        (
            "{:type :ok :process 1 :value [[:append 1 2] [:r 1 [{}]]]}",
            ":1:1",
            "operation 1: [:r 1 [{}]]: a list reads",
        ),
        (
            "{:type :ok :process 1 :value [[:w 1 nil]]}",
            ":1:1",
            "operation 1: [:w 1 nil]: a number or a text is written",
        ),
        (
            "{:type :ok :process 1 :value [[:inc 1 [:a 2]]]}",
            ":1:1",
            'operation 1: [:inc 1 ["a" 2]]: an increment is [BY',
        ),
        (
            "{:type :ok :process 1 :f :cas :value [1 2]}",
            ":1:1",
            "operation 1: :f :cas, :value [1 2] is none that is known",
        ),
        (
            "{:type :ok :process 1 :f :add :value 1}\n{:type :ok :process 1 :f :read :value #{1}}",
            ":2:1",
            "operation 2: a c",
        ),
        (
            "{:type :ok :process 1 :f :transfer :value {:from 1}}",
            ":1:1",
            "operation 1: a transfer is {:from 1, :to 2, :amo",
        ),
        (
            "{:type :ok :process 1 :f :read :value {1 :a}}",
            ":1:1",
            'operation 1: account 1 has "a"; a balance is a number',
        ),
        ("[" * 100_000, ":1:102", "more than 100 collections within each other"),
        (f"{{:type :ok :process 1 :value [[:append 1 {'9' * 6000}]]}}", ":1:42", "a number of 6,000 digits"),
        (b"\x89PNG\r\n\x1a\n\x00", ":1:1", "this is no text in UTF-8: a history is a file of EDN or JSON"),
        (b"{:type :ok}\n\xff", ":2:1", "this is no text in UTF-8"),
        (b"\x00\x01\x02", ":1:1", 'operation 1: "\\u0000\\u0001\\u0002" is no map'),
        (
            "{:type :info :process :nemesis :f :harness :value {:workload :lists}}",
            "",
            "its operation :f :harness says that the workload is 'lists', and not list-append, rw-register",
        ),
        (
            "{:type :info :process :nemesis :f :harness :value {:workload :bank :initial {1 2}}}",
            "",
            "its operation :f :harness says {1: 2} where there should be pairs of a key and a value",
        ),
    ],
    ids=lambda one: str(one)[:30],
)
def test_every_mistake_is_one_line(tmp_path: Path, text: str | bytes, where: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'history.edn'}{where}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("[", ":1:1", "the array that begins here never ends"),
        ('[{"type": "ok"}', ":1:1", "the array that begins here never ends"),
        ('[{"type": "ok" "f": 1}]', ":1:16", "this is no JSON: expecting ',' delimiter"),
        ('[{"type": "info", "process": "nemesis"} {}]', ":1:41", "'{' where a comma should be"),
        ('[{"type": "info", "process": "nemesis"}]\n{}', ":2:1", "there is more after the array"),
        ('{"type": "ok", "process": 1, "value": [["append", 1, NaN]]}', ":1:1", "NaN is no JSON"),
        (
            '{"type": "ok", "process": 1, "value": [["append", 1, {}]]}',
            ":1:1",
            "operation 1: [:append 1 {}]: an element",
        ),
        ("[" * 100_000, ":1:2", "too many arrays within each other"),
        (f'{{"type": {"9" * 6000}}}', ":1:1", "Exceeds the limit"),
        ("null", ":1:1", "operation 1: nil is no map"),
        (
            '{"history": {"events": [], "case": 1}}',
            "",
            "this is no evidence of this harness: case: Input should be a valid",
        ),
    ],
    ids=lambda one: str(one)[:30],
)
def test_so_it_is_in_json(tmp_path: Path, text: str, where: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, text, "history.json")
    assert str(caught.value).startswith(f"{tmp_path / 'history.json'}{where}: {message}")
    assert "\n" not in str(caught.value)


def test_values_within_each_other(tmp_path: Path) -> None:
    text = f'{{"type": "ok", "process": 1, "value": [["w", 1, {"[" * 900}{"]" * 900}]]}}'
    made = read(tmp_path, text, "history.json")
    assert len(made.transactions) == 1
    with pytest.raises(ScenarioError, match="too many arrays within each other"):
        read(tmp_path, text.replace("[" * 900, "[" * 9000).replace("]" * 900, "]" * 9000), "history.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"missing\.edn cannot be read: No such file or directory"):
        read_history(tmp_path / "missing.edn")
    with pytest.raises(ScenarioError, match="cannot be read: Is a directory"):
        read_history(tmp_path)


def test_whoever_waits_hears_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "h.edn"
    file.write_text("{:type :ok :process 1 :value [[:r 1 [1]]]}\n" * 10_001)
    heard: list[str] = []
    read_file(file, now=heard.append)
    assert heard == ["reading h.edn: 5,000 operations", "reading h.edn: 10,000 operations"]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("[:append 1 true]", "[:append 1 1]", "operation 2: 1 is given 1, and true elsewhere"),
        ("[:append 1 1]", "[:append 1 true]", "operation 1: 1 is given 1, and true elsewhere"),
        ("[:w 1 1]", "[:w 1 1.0]", "operation 1: 1 is given 1, and 1.0 elsewhere"),
        ("[:w :x 1]", '[:w "x" 2]', '"x" is called :x before: one object, or two?'),
        ('[:r "x" nil]', "[:append :x 2]", ':x is called "x" before: one object, or two?'),
    ],
    ids=["a truth and a number", "a number and a truth", "a number and a fraction", "a keyword", "a text"],
)
def test_what_reads_could_not_tell_apart_is_refused(tmp_path: Path, first: str, second: str, words: str) -> None:
    text = "".join(f"{{:type :ok, :process 0, :f :txn, :value [{one}]}}\n" for one in (first, second))
    with pytest.raises(ScenarioError) as error:
        read(tmp_path, text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("[:append 1 true]", "[:append 2 1]"),
        ("[:w 1 true]", "[:w 1 2.0]"),
        ("[:w :x 1]", '[:w "y" 2]'),
        ("[:w 1 2]", "[:r 1 2.0]"),  # as it may come back
    ],
    ids=["two lists", "two values", "two names", "a read"],
)
def test_what_can_be_told_apart_is_read(tmp_path: Path, first: str, second: str) -> None:
    text = "".join(f"{{:type :ok, :process 0, :f :txn, :value [{one}]}}\n" for one in (first, second))
    assert len(read(tmp_path, text).transactions) == 2
