"""A Hop that is quick: a process that does to PromptSales what the workflow does, and dies where it is told.

As a script: ``fake_hop.py STEP …`` with PromptSales's URL in the environment. Steps: ``begin``, ``merge:SOURCE``,
``fail:SOURCE:WHY``, ``error:TEXT``, ``say:TEXT``, ``ready`` (makes the file READY), ``hang``, ``merging:SOURCE`` (hangs in a
merge that is not committed), ``kill`` (its own kill -9), ``exit:CODE``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from harness.servers.base import Target

MERGED = [f"merge:{source}" for source in ("promptcontent", "promptads", "promptcrm", "cache")]
WHOLE = ["begin", *MERGED]


def variables(targets: Mapping[str, Target]) -> dict[str, str]:
    return {"FAKE_URL": targets["promptsales"].url}


@dataclass
class Ended:
    code: int
    errors: tuple[str, ...]
    log: Path


@dataclass
class FakeHop:
    """``steps``: what it does; ``plans``: what it does the first, the second time, and so on, before that."""

    steps: list[str]
    plans: list[list[str]] = field(default_factory=list)
    started: list[Running] = field(default_factory=list)
    given: list[dict[str, str]] = field(default_factory=list)

    def start(self, workflow: str, variables: Mapping[str, str], on_line: Callable[[str], None]) -> Running:
        assert workflow == "workflows/delta.hwf"
        self.given.append(dict(variables))
        running = Running(self.plans.pop(0) if self.plans else self.steps, variables, on_line)
        self.started.append(running)
        return running


class Running:
    def __init__(self, steps: list[str], variables: Mapping[str, str], on_line: Callable[[str], None]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fake-hop-"))
        self.log = self.folder / "hop.log"
        self.ready = self.folder / "ready"
        environ = os.environ | variables | {"READY": str(self.ready)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, *steps], env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.pid = self._process.pid
        self._errors: list[str] = []
        self._on_line = on_line
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("w") as log:
            for line in self._process.stdout:
                log.write(line)
                if said := re.match(r"^\S+ \S+ - (.*?) - ERROR: (.*)$", line):
                    self._errors.append(f"{said[1]}: {said[2]}")
                self._on_line(line.rstrip())

    def wait(self, timeout: float | None = None) -> Ended:
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        self._reader.join()
        return Ended(code if code >= 0 else 128 - code, tuple(self._errors), self.log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()


# -- the process


def say(text: str) -> None:
    print(f"2026/07/25 10:31:07 - {text}", flush=True)


def main(steps: list[str]) -> int:
    url = os.environ["FAKE_URL"]
    number = 0
    code = 0
    try:
        link = psycopg.connect(url, autocommit=True, application_name="promptsales-etl 0", connect_timeout=5)
        for step in steps:
            word, _, rest = step.partition(":")
            if word == "begin":
                (number,) = link.execute("SELECT etl_begin()").fetchone()  # type: ignore[misc]
                link.execute("SELECT set_config('application_name', %s, false)", [f"promptsales-etl {number}"])
                say(f"keep it as ROUND.0 - Set variable ROUND to value [{number}]")
            elif word in ("merge", "merging"):
                if word == "merging":
                    link.execute("BEGIN")
                stage(link, number, rest)
                say(f"merge - Starting action [merge {rest}]")
                if word == "merging":
                    hang()
            elif word == "fail":
                source, _, why = rest.partition(":")
                link.execute("SELECT etl_fail(%s, %s, %s)", [number, source, why])
                say(f"{source} - ERROR: {why}")
                code = 1
            elif word == "error":
                say(f"delta - ERROR: {rest.replace('$PASSWORD', url.split(':')[2].split('@')[0])}")
                code = 1
            elif word == "say":
                say(rest)
            elif word == "ready":
                Path(os.environ["READY"]).touch()
            elif word == "hang":
                hang()
            elif word == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif word == "exit":
                return int(rest)
    except psycopg.Error as error:
        say(f"begin - ERROR: {str(error).splitlines()[0]}")
        return 1
    return code


def stage(link: psycopg.Connection, number: int, source: str) -> None:
    """A window in which nothing changed, merged."""
    whole, origin, _ = link.execute("SELECT * FROM etl_window(%s, %s)", [number, source]).fetchone()  # type: ignore[misc]
    bound = {"promptcontent": "5" if whole else None, "cache": "0-0 0"}.get(source, "800:800:")
    link.execute(
        "INSERT INTO staging.source_window (round, source, whole, origin, upper_bound) VALUES (%s, %s, %s, %s, %s)",
        [number, source, whole, "" if source == "cache" else origin or "here", bound],
    )
    link.execute("SELECT * FROM etl_merge(%s, %s)", [number, source])


def hang() -> None:
    Path(os.environ["READY"]).touch()
    time.sleep(600)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
