"""Scenario files for the tests: a good one, and small changes to it."""

from __future__ import annotations

from pathlib import Path

from harness.scenario.cases import cases
from harness.scenario.load import load
from harness.scenario.model import Scenario, Schedule
from harness.vocabulary import REAL_ENGINE

GOOD = """\
title: A reader and a writer
marks: [dirty_read]
database: promptsales
levels:
  postgresql: [read committed]
parameters: {amount: 10, ratio: 0.5, loud: false, who: me}
setup:
  - CREATE TABLE campaign (id int PRIMARY KEY, budget int)
  - INSERT INTO campaign VALUES (1, 1000)
items:
  budget: SELECT budget FROM campaign WHERE id = 1
sessions:
  T1:
    setup: begin
    steps:
      read: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}
      write:
        run: UPDATE campaign SET budget = ${budget - amount} WHERE id = 1
        writes: budget
      commit: commit
  T2:
    steps:
      look: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}
      again: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}
schedule:
  - read
  - write
  - look: runs
  - commit
  - again
expect:
  postgresql:
    read committed:
      finds: nothing
      blocks: []
      sees: {look: 1000, again: 990}
      final: {budget: "== initial_budget - ${amount}"}
"""


def changed(old: str, new: str, text: str = GOOD) -> str:
    """``text`` with its one ``old`` replaced."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the text"
    return text.replace(old, new)


def loaded(folder: Path, text: str, **parameters: str) -> Scenario:
    """The scenario of a text."""
    file = folder / "case.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, parameters)


def scheduled(scenario: Scenario) -> list[Schedule]:
    """The schedules of its cases on the real engines, made ones too."""
    return [case.schedule for case in cases(scenario, lambda logical: (REAL_ENGINE[logical], False))]


HOSTS = """\
title: On two machines
databases: {ads: promptads, crm: promptcrm}
hosts: [pc1, pc-2]
sessions:
  A:
    on: pc1
    steps: {a: SELECT 1}
  B:
    on: [crm, pc-2]
    steps: {b: SELECT 1, c: {run: SELECT 1, on: ads}}
  C:
    steps: {d: SELECT 1}
  D:
    copies: 3
    on: [pc1, pc-2]
    steps: {e: SELECT 1}
schedule: [a, b, c, d, e]
expect: {postgresql: {finds: nothing}}
"""
