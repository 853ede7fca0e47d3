"""A load run from outside: databases, a Locust of its own, what it gave, judged and kept.

Locust makes its whole process cooperative (gevent), so it never runs in ours: it is a child that is told where its databases
are, tells what it does line by line, and ends when we do, however we end: it reads a pipe from us until that is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import EngineError
from harness.load import checks
from harness.load.data import places
from harness.load.keep import keep
from harness.load.plan import Plan
from harness.load.result import LoadResult
from harness.load.told import MARK, RESULT, Told
from harness.servers.base import Target
from harness.servers.urls import VARIABLE
from harness.suite import Suite

FILE = Path(__file__).with_name("locustfile.py")

_END_SECONDS = 15.0  # that Locust has to end, after it was asked to
_LONGER = 60.0  # seconds over the plan's own that a run may take


class LoadFailed(EngineError):
    """Locust ended without a result; the text is what it said last."""


@dataclass(frozen=True, slots=True)
class How:
    """What is said when a load is run. ``data`` instead of the file's; ``kept``: what is on the servers."""

    processes: int = 1
    data: str = ""


@dataclass(slots=True)
class Moment:
    """How far a run is."""

    text: str
    seconds: float = 0.0
    numbers: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Moment], None]


def run(suite: Suite, plan: Plan, how: How, listen: Listener = lambda moment: None) -> tuple[LoadResult, Path]:
    """Run a plan on the suite's servers and keep its result; gives it and its file.

    A run that is interrupted (KeyboardInterrupt) is kept as far as it came, then the interrupt goes on. Raises
    ServerUnavailable (skip), LoadFailed, StoreError, other HarnessError.
    """
    written = plan.written
    suite.servers.prefetch(plan.databases)
    with places(
        suite.databases, plan.databases, how.data or written.data, lambda text: listen(Moment(text))
    ) as targets:
        run_id = suite.settings.run_id
        asked = [check for check in written.checks if checks.applies(check, targets[check.on])]
        before = [checks.ask(check, targets[check.on], run_id) if check.unchanged else None for check in asked]
        if not suite.store.folder.is_dir():
            suite.store.open()
        interrupted = False
        child = _Child(suite.store.folder, plan, targets, run_id, how)
        try:
            child.wait(listen)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            child.end()
        result = child.result()
        wrong = list(checks.mismatches(written, result, targets))
        for check, was in zip(asked, before, strict=True):
            if said := checks.broken(check, targets[check.on].label, was, checks.ask(check, targets[check.on], run_id)):
                wrong.append(said)
        notes = [*result.notes, *(["ended by Ctrl-C"] if interrupted else [])]
        result = result.model_copy(
            update={
                "file": suite.relative(plan.file) if plan.file != Path() else "",
                "status": "failed" if wrong else "passed",
                "mismatches": wrong,
                "notes": notes,
            }
        )
        path = keep(suite, result)
    if interrupted:
        raise KeyboardInterrupt
    return result, path


class _Child:
    """Locust, as a process of its own."""

    def __init__(self, folder: Path, plan: Plan, targets: Mapping[str, Target], run: str, how: How) -> None:
        self._plan = plan
        self._said: list[str] = []
        self._result = ""
        command = [sys.executable, "-P", "-m", "locust", "-f", str(FILE)]
        command += ["--headless", "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"]
        if how.processes > 1:
            port = str(_free_port())
            command += ["--processes", str(how.processes), "--master-bind-host", "127.0.0.1"]
            command += ["--master-bind-port", port, "--master-port", port]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=folder,  # ours: Locust imports, and reads its configuration, from where it is started
            env=_environ(targets, Told(run, plan, {name: one.stand_in for name, one in targets.items()})),
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        self._lines: list[str] = []
        self._listener: Listener = lambda moment: None
        self._reader = threading.Thread(target=self._read, name="load", daemon=True)
        self._reader.start()

    def wait(self, listen: Listener) -> None:
        """Until it has ended. Raises LoadFailed if it does not come to an end."""
        self._listener = listen
        deadline = time.monotonic() + self._plan.load.seconds + _LONGER
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                raise LoadFailed(f"{self._plan.id}: Locust did not end within {_LONGER:.0f} s after its time")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.2)

    def end(self) -> None:
        """Ask it to end, and see to it; never raises."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_END_SECONDS)
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin:
                self._process.stdin.close()
        if os.name == "posix":
            with contextlib.suppress(OSError):  # its workers, if it has left some
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)

    def result(self) -> LoadResult:
        """What it gave. Raises LoadFailed."""
        try:
            return LoadResult.model_validate_json(self._result)
        except ValidationError:
            said = [line for line in self._said if line.strip() and not line.startswith("Traceback")]
            last = said[-1].removeprefix("harness: ") if said else f"it ended with code {self._process.returncode}"
            raise LoadFailed(f"{self._plan.id}: Locust gave no result: {last}") from None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(MARK):
                with contextlib.suppress(ValueError):
                    numbers = json.loads(line.removeprefix(MARK))
                    self._listener(Moment(words(numbers, self._plan), numbers["seconds"], numbers))
            elif line.startswith(RESULT):
                self._result = line.removeprefix(RESULT)
            else:
                self._said.append(line.rstrip())
                del self._said[:-200]


def words(numbers: Mapping[str, Any], plan: Plan) -> str:
    """How far a run is, in a line."""
    parts = [
        f"{plan.id}: {min(numbers['seconds'], plan.load.seconds):.0f} of {plan.load.seconds:.0f} s",
        f"{numbers['users']} users",
        f"{numbers['done']:,} done",
    ]
    parts += [f"{numbers[name]:,} {name}" for name in ("retried", "failed") if numbers[name]]
    return ", ".join(parts)


def _environ(targets: Mapping[str, Target], told: Told) -> dict[str, str]:
    """The child's environment: its databases' URLs (on a command line everybody could read them), what it is told."""
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLE.values()}
    environ |= {VARIABLE[name]: target.url for name, target in targets.items()}
    root = str(Path(__file__).resolve().parents[2])
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH")]))
    environ["PROMPTSALES_SERVERS"] = "external"
    return {name: value for name, value in environ.items() if not name.startswith("LOCUST_")} | told.as_environ()


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
