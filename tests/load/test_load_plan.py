"""Load files: what they say, and what is said of those that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from load.locusts import in_locust

import harness
from harness.answers import ErrorKind
from harness.errors import ScenarioError
from harness.load.catalogue import USERS
from harness.load.plan import Plan, read_load
from harness.load.written import schema
from harness.scenario.kinds import Kind, kind_of
from harness.scenario.source import parse, read

ROOT = Path(harness.__file__).parent.parent
FILES = sorted((ROOT / "scenarios" / "load").glob("*.yaml"))
VALIDATOR = Draft202012Validator(schema())

GOOD = """
title: Sales and money
marks: [deadlock]
load:
  users:
    seller: 3
    planner: {weight: 1, think: [0.1, 0.2], tasks: {move budget: 1}, among: 4, level: serializable}
  count: 6
  seconds: 2
  think: 0.5
  shape: {steps: [0.5, 1]}
  arrivals: {open: 40}
  retry: {tries: 3, kinds: [deadlock, serialization]}
expect:
  postgresql: {errors: [lock timeout], sees: deadlock, done: [register sale]}
checks:
  - {title: sum, on: promptads, run: SELECT sum(amount) FROM budget, unchanged: true}
  - {title: none, on: promptads, run: SELECT 0, equals: 0}
"""


def written(tmp_path: Path, old: str = "", new: str = "") -> Path:
    assert old in GOOD
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace(old, new, 1) if old else GOOD, encoding="utf-8")
    return file


def test_a_file_is_read(tmp_path):
    plan = read_load(written(tmp_path))
    assert plan.id == "mine"
    assert plan.databases == ("promptcrm", "promptads")
    assert (plan.rate, plan.arrivals) == (40, "open")
    assert plan.load.users["planner"].think == (0.1, 0.2)
    assert plan.load.think == (0.5, 0.5)
    assert plan.policy.kinds == {ErrorKind.deadlock, ErrorKind.serialization}
    assert plan.policy.tries == 3
    assert plan.written.expect["postgresql"].errors == ["lock timeout"]
    assert plan.curve.words == "steps of 50%, 100%"


def test_it_travels_to_another_process_whole(tmp_path):
    plan = read_load(written(tmp_path)).changed(users=9, seconds=7, arrivals="closed")
    there = Plan.from_json(plan.to_json())
    assert there == plan
    assert (there.load.count, there.load.seconds, there.rate) == (9, 7, None)
    assert there.written.checks[0].bodies() == plan.written.checks[0].bodies()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seller: 3", "saller: 3", "6:5: unknown kind of user 'saller', did you mean 'seller'?"),
        ("move budget: 1", "move budgets: 1", "unknown task 'move budgets' in planner, did you mean 'move budget'?"),
        ("move budget: 1", "move budget: 0", "planner does nothing"),
        ("count: 6", "cuont: 6", "8:3: unknown key 'cuont', did you mean 'count'?"),
        ("{steps: [0.5, 1]}", "stedy", "unknown shape 'stedy', did you mean 'steady'?"),
        ("{steps: [0.5, 1]}", "{steps: [1], ramp: {}}", "a shape is one of ramp and steps"),
        ("{open: 40}", "opened", "unknown way to arrive 'opened'"),
        ("think: 0.5", "think: [2, 1]", "a user cannot think from 2 to 1 seconds"),
        ("[deadlock, serialization]", "[deadlok]", "unknown kind of error 'deadlok', did you mean 'deadlock'?"),
        ("postgresql:", "mongodb:", "nobody works on mongodb here: the users' databases are on postgresql, sqlserver"),
        ("level: serializable", "level: serialisable", "unknown level 'serialisable' in planner"),
        ("unchanged: true", "unchanged: false", "a check says either 'unchanged: true' or 'equals: …'"),
        ("on: promptads, run: SELECT 0", "on: promptad, run: SELECT 0", "unknown database 'promptad'"),
        ("title: Sales and money\n", "", "lacks 'title'"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, old, new, said):
    file = written(tmp_path, old, new)
    with pytest.raises(ScenarioError) as error:
        read_load(file)
    assert said in str(error.value)
    assert str(error.value).startswith(f"{file}:")


def test_several_mistakes_are_told_at_once(tmp_path):
    file = written(tmp_path, "seller: 3", "saller: 3\n    plannner: 1")
    with pytest.raises(ScenarioError) as error:
        read_load(file)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("said", ["0", "-3", "often", ""])
def test_arrivals_that_are_none(tmp_path, said):
    with pytest.raises(ScenarioError, match="'closed', or how many requests begin in a second"):
        read_load(written(tmp_path)).changed(arrivals=said)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_our_own_files_are_right(file):
    assert kind_of(file) is Kind.load
    plan = read_load(file)
    assert [error.message for error in VALIDATOR.iter_errors(read(file).data)] == []
    assert plan.written.expect


def test_there_are_files_of_each_way():
    plans = {plan.id: plan for plan in map(read_load, FILES)}
    assert {plan.arrivals for plan in plans.values()} == {"open", "closed"}
    assert {user for plan in plans.values() for user in plan.load.users} == set(USERS)
    assert "december peak" in {plan.curve.words for plan in plans.values()}


def test_the_schema_is_up_to_date_and_takes_what_the_loader_takes(tmp_path):
    Draft202012Validator.check_schema(schema())
    text = (ROOT / "harness" / "load" / "load.schema.json").read_text(encoding="utf-8")
    assert text == json.dumps(schema(), indent=2) + "\n", (
        "write it again: python -m harness.load.written > harness/load/load.schema.json"
    )
    assert list(VALIDATOR.iter_errors(parse(GOOD, Path("x")).data)) == []
    for old, new in (("seller: 3", "saller: 3"), ("count: 6", "cuont: 6"), ("deadlock, ser", "deadlok, ser")):
        assert list(VALIDATOR.iter_errors(parse(GOOD.replace(old, new), Path("x")).data))


def test_the_list_of_users_is_what_the_classes_are():
    there = in_locust(
        """
        from importlib import import_module
        from harness.load.catalogue import USERS
        made = {}
        for name, kind in USERS.items():
            cls = getattr(import_module(f"harness.load.users.{kind.module}"), kind.cls)
            tasks = {}
            for work in cls.tasks:
                word = work.__name__.replace("_", " ")
                tasks[word] = tasks.get(word, 0) + 1
            tagged = all(getattr(work, "locust_tag_set", None) for work in cls.tasks)
            made[name] = [cls.logical, tasks, tagged]
        print(json.dumps(made))
        """
    )
    assert there == {name: [kind.databases[0], dict(kind.tasks), True] for name, kind in USERS.items()}
