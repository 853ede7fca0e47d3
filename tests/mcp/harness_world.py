"""What the tests of the harness's own tools share: scenarios of their own, a slow one too, and the processes of a run."""

from __future__ import annotations

from pathlib import Path

import psutil

from harness.mcp.harness_listing import ScenarioRun
from harness.mcp.harness_tools import HarnessSettings, open_toolset
from harness.sso.model import Caller

TESTER = Caller("local.tester", "tester@example.org", frozenset({"tester"}), "stdio")
SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"

ROTATED = """\
title: The cascade, turned round
database: promptsales
setup:
  - CREATE TABLE place (id int PRIMARY KEY, left_over int NOT NULL)
  - INSERT INTO place VALUES (1, 10), (2, 10), (3, 10)
sessions:
  C:
    setup: begin
    steps:
      hold_c: UPDATE place SET left_over = left_over - 1 WHERE id = 3
      want_c: UPDATE place SET left_over = left_over - 1 WHERE id = 1
      end_c: commit
  A:
    setup: begin
    deadlock_priority: low
    steps:
      hold_a: UPDATE place SET left_over = left_over - 1 WHERE id = 1
      look_a: SELECT left_over FROM place WHERE id = 3
      want_a: UPDATE place SET left_over = left_over - 1 WHERE id = 2
      end_a: rollback
  B:
    setup: begin
    steps:
      hold_b: UPDATE place SET left_over = left_over - 1 WHERE id = 2
      want_b: UPDATE place SET left_over = left_over - 1 WHERE id = 3
      end_b: commit
schedule: [hold_c, hold_a, look_a, hold_b, want_c, want_b, want_a, end_a, end_c, end_b]
expect:
  postgresql: {finds: deadlock, victim: A, errors: {want_a: deadlock}}
"""

SLOW = """\
title: Somebody sleeps
database: promptsales
deadline: 100
case_deadline: 120
sessions:
  T1:
    steps:
      sleep: SELECT pg_sleep(90)
schedule: [sleep]
expect:
  postgresql: {finds: nothing}
"""

BROKEN = """\
title: A mistake
database: promptsales
sessions:
  T1:
    steps:
      look: SELECT 1
schedule: [lok]
expect:
  postgresql: {finds: nothing}
"""

FAILS = """\
title: It is not as expected
database: promptsales
sessions:
  T1:
    steps:
      look: SELECT 1
schedule: [look]
expect:
  postgresql: {finds: deadlock}
"""

REFUSED_SETUP = """\
title: Its set-up fails
database: promptsales
setup: [SELECT * FROM nowhere]
sessions:
  T1:
    steps:
      look: SELECT 1
schedule: [look]
expect:
  postgresql: {finds: nothing}
"""


def scenarios(folder: Path) -> Path:
    """A folder of scenarios of every kind; one has two of the same name."""
    files = {
        "own/rotated.yaml": ROTATED,
        "own/slow.yaml": SLOW,
        "own/fails.yaml": FAILS,
        "own/refused.yaml": REFUSED_SETUP,
        "bad/broken.yaml": BROKEN,
        "bad/no_yaml.yaml": "title: [\n",
        "one/same.yaml": FAILS,
        "two/same.yaml": FAILS,
        "other/load.yaml": "load: {}\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def family(pid: int | None = None) -> list[psutil.Process]:
    """All processes that come of one (ours, if none is said)."""
    return psutil.Process(pid).children(recursive=True)


def runs_harness(process: psutil.Process) -> bool:
    """Whether it is the process that runs a scenario, and not its guard."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return "harness.mcp.harness_child" in command and not any("hop_guard" in word for word in command)


def sleeps(process: psutil.Process) -> bool:
    """Whether it is a session of PostgreSQL that has a statement at work."""
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return command.startswith("postgres:") and "SELECT" in command and "psh_" in command


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    left = []
    for one in processes:
        try:
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
                left.append(one)
        except psutil.Error:
            continue
    return left


class Kept:
    """Results of three runs; tests that spoil something copy them."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "results"
        self.own = scenarios(folder / "scenarios")
        self.tools = open_toolset({}, HarnessSettings(self.own, self.results))
        self.real = open_toolset({}, HarnessSettings(SCENARIOS, self.results))
        self.cascade: ScenarioRun = self.real.run_scenario(TESTER, "cascade", "promptsales", "read committed")
        self.rotated: ScenarioRun = self.tools.run_scenario(TESTER, "rotated")
        self.fails: ScenarioRun = self.tools.run_scenario(TESTER, "fails")

    def close(self) -> None:
        self.tools.close()
        self.real.close()
