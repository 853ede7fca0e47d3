"""The prompts of the harness's server: what a person would ask an assistant, with what it needs to answer well."""

from __future__ import annotations

from pathlib import Path

from harness.errors import ToolRefused, did_you_mean
from harness.vocabulary import ADYA, LEVELS

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "scenarios.md"

EXAMPLE = """\
title: Two changes of one budget, each made from what was read
about: Both sessions read the budget, both write what they made of it. The second write must not undo the first.
database: promptsales
levels:
  postgresql: [read committed, repeatable read]
setup:
  - CREATE TABLE campaign (id int PRIMARY KEY, budget int NOT NULL)
  - INSERT INTO campaign VALUES (1, 1000)
items:
  budget: SELECT budget FROM campaign WHERE id = 1
sessions:
  T1:
    setup: begin
    steps:
      read_1: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}
      write_1: {run: UPDATE campaign SET budget = 1100 WHERE id = 1, writes: {budget: 1100}}
      commit_1: commit
  T2:
    setup: begin
    steps:
      read_2: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}
      write_2: {run: UPDATE campaign SET budget = 1200 WHERE id = 1, writes: {budget: 1200}}
      commit_2: commit
schedule: [read_1, read_2, write_1, write_2: blocks, commit_1, commit_2]
expect:
  postgresql:
    read committed: {finds: lost update, final: {budget: 1200}}
    repeatable read: {finds: nothing, errors: {write_2: serialization failure}, final: {budget: 1100}}
"""
"""A scenario that runs as it stands; a test runs it."""

ESSENTIALS = """\
A scenario is one YAML file with one idea. Its topmost keys:
- title, about: what it shows, in words.
- database: promptsales, promptads, promptcrm, promptcontent or cache; a list runs it on each of them. Or
  databases: {alias: logical name} for several at once; a session or step then says which one by 'on: alias'.
- levels: {engine: [isolation levels]}. Engines: postgresql, sqlserver, mongodb, redis.
- data: empty or sample (PromptSales's own tables, from schemas/), or setup: statements that make what it needs.
- items: {name: query}: the values that something is to be proved about; they are read before and after.
- sessions: {name: {setup: begin, steps: {step: statement}, deadlock_priority: low}}. A step's name is unique in the file.
  begin, commit and rollback are words; all else goes to the server as it stands. A step that touches an item says so:
  {run: …, reads: item} or {run: …, writes: {item: value}}; for engines that differ {postgresql: …, sqlserver: …}.
- schedule: the steps in the order in which they begin; 'step: blocks' claims that it must wait, 'step: {blocks: true,
  until: other}' that it ends only after another one. Or schedule: all (every interleaving), reduced (one of each kind that
  matters), {random: {count: 50, seed: 1}}; then expect only what is true of every order.
- expect: {engine: {level or any: {finds: phenomenon or nothing, allows, victim, errors: {step: kind}, blocks: [steps],
  sees: {step: value}, final: {item: value}, may_refuse: [kinds of error that any step may end with],
  holds: ["budget == initial_budget - 100 * committed_T1"]}}}. What is not named must not happen.
Every case runs in a database of its own, which is dropped afterwards. The whole schema is harness://scenario-schema.
"""


def explain_this_deadlock(run_id: str, case_id: str) -> str:
    """Ask for a deadlock to be explained from its evidence."""
    return (
        f"Explain the deadlock of the case {case_id} in run {run_id} to somebody who knows SQL, not locks. "
        f"Call explain_deadlock with run_id={run_id!r} and case_id={case_id!r}, and read_evidence with part='statements' if "
        "you need the statements. Say who held what, who waited for whom, which statement closed the ring, who was ended "
        "and by which rule, and how the application should be changed. Say only what the evidence says; call advice advice."
    )


def write_a_scenario(description: str) -> str:
    """Ask for a scenario file."""
    return (
        f"Write a scenario file for the PromptSales harness that shows this:\n\n{description}\n\n{ESSENTIALS}\n"
        f"An example that runs:\n\n```yaml\n{EXAMPLE}```\n\n"
        f"The phenomena it may expect: {', '.join(one.value for one in ADYA)}.\n"
        "Look with list_scenarios whether there is one already. Give the YAML; say in two sentences what it would prove and "
        "what you are not sure of. It has to be put below the scenarios' folder by a person before run_scenario can run it."
    )


def is_this_level_enough(level: str, engine: str) -> str:
    """Ask what an isolation level lets through. Raises ToolRefused for an engine or a level that there is none of."""
    if engine not in LEVELS:
        raise ToolRefused(f"there is no engine {engine[:40]!a}{did_you_mean(engine, LEVELS)}: {', '.join(LEVELS)}")
    if level not in LEVELS[engine]:
        raise ToolRefused(
            f"{engine} has no level {level[:40]!a}{did_you_mean(level, LEVELS[engine])}: {', '.join(LEVELS[engine])}"
        )
    return (
        f"Is {level} on {engine} enough for what our application does? Find out by evidence: list_scenarios "
        f"with engine={engine!r}, describe_scenario for what each expects at {level}, and, if you may, run_scenario with "
        f"level={level!r} for lost update, write skew, read skew, phantom, dirty read, deadlock. Then read_evidence with "
        "part='summary' of each case: which phenomena were found, with which proof, which level the server said it really "
        "gave. Say which of them it lets through, which it refuses with what error, what the application then must do, and "
        "what was not tried. Stand-ins (…-standin) are another engine than in production: say so where it matters."
    )


def guide() -> str:
    """How to write a scenario: the project's page, where it is there, else the essentials."""
    try:
        return GUIDE.read_text("utf-8")
    except OSError:
        return f"{ESSENTIALS}\nAn example that runs:\n\n```yaml\n{EXAMPLE}```\n"
