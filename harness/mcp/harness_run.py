"""Runs a scenario in a process of its own, one at a time, and ends it when nobody waits for it any more.

The process stands behind the guard of the ETL (``harness/etl/hop_guard.py``): it ends when this one does. Its servers
have a watchdog of their own, so that not even ``kill -9`` leaves one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness.etl
from harness.errors import SourceError, StoreError, ToolRefused
from harness.mcp.harness_child import environ_of
from harness.mcp.model import given_up
from harness.servers import resolve_mode

logger = logging.getLogger("promptsales.mcp")

SECONDS = 120.0
"""That a caller waits for a run; see :data:`MOST_SECONDS`."""
MOST_SECONDS = 100.0
"""That a run may take before it is ended: less, so that its caller is still there to be told."""

IN_LOG = "whoever runs this server finds why in its log"

_ASK_SECONDS = 10.0  # that it has to end tidily
_GRAIN = 0.05
_PACKAGE = Path(harness.etl.__file__).resolve().parents[2]
_GUARD = Path(harness.etl.__file__).with_name("hop_guard.py")


@dataclass(slots=True)
class Ran:
    """What a run told: its id, and what became of each case, in order."""

    run_id: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    error: tuple[str, str] | None = None  # kind ("own": its text is for the caller), text
    said: list[str] = field(default_factory=list)  # whatever else it wrote


class Runner:
    """The runs of one server process: at most one at any time. Safe to use from several threads."""

    def __init__(self, root: Path, results: Path, mode: str | None) -> None:
        """``mode`` None: embedded servers. Raises ServerError if it is none."""
        self.mode = resolve_mode(mode, {})
        self._root, self._results = root, results
        self._lock = threading.Lock()
        self._what, self._since = "", 0.0
        self._closed = threading.Event()

    def run(self, what: str, file: Path, cases: Sequence[str], seconds: float = MOST_SECONDS) -> Ran:
        """Run these cases of a scenario file. ``what`` is told to whoever asks meanwhile.

        Raises ToolRefused (another one is going on, it takes too long, nobody waits for it), SourceError.
        """
        with self._alone(what):
            ran = self._watched(file, cases, seconds)
        if ran.error:
            kind, text = ran.error
            if kind == "own":
                raise ToolRefused(text.replace(f"{self._root}/", ""))
            logger.error("a run of %s failed: %s: %s", what, kind, text)
            what = (
                "the run cannot be kept" if kind == StoreError.__name__ else "its servers cannot be had, or went away"
            )
            raise SourceError(f"{what}: {IN_LOG}")
        return ran

    def close(self) -> None:
        """End what runs, and start nothing any more."""
        self._closed.set()

    @contextlib.contextmanager
    def _alone(self, what: str) -> Any:
        with self._lock:
            if self._closed.is_set():
                raise SourceError("the server is ending")
            if self._what:
                since = time.monotonic() - self._since
                raise ToolRefused(f"a run is going on: {self._what}, for {since:.0f} s: try again when it has ended")
            self._what, self._since = what, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._what = ""

    def _watched(self, file: Path, cases: Sequence[str], seconds: float) -> Ran:
        deadline = time.monotonic() + seconds
        with _Child(self._order(file, cases), self.mode, self._root) as child:
            while child.process.poll() is None:
                if given_up() or self._closed.is_set():
                    raise ToolRefused("nobody waits for the run any more: it was ended")
                if time.monotonic() > deadline:
                    raise ToolRefused(
                        f"the run did not end within {seconds:.0f} s and was ended: choose one database and one level"
                    )
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(_GRAIN)
            return child.ran()

    def _order(self, file: Path, cases: Sequence[str]) -> str:
        order = {"file": str(file), "root": str(self._root), "results": str(self._results), "mode": self.mode}
        return json.dumps(order | {"cases": list(cases)})


class _Child:
    """The process, behind its guard. Leaving its ``with`` ends it: it is asked first, and killed if it does not."""

    def __init__(self, order: str, mode: str, cwd: Path) -> None:
        guard = [sys.executable, "-I", "-S", str(_GUARD), "--ask", str(_ASK_SECONDS)]
        environ = environ_of(mode, os.environ)
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE), environ.get("PYTHONPATH")]))
        try:
            self.process = subprocess.Popen(
                [*guard, sys.executable, "-P", "-m", "harness.mcp.harness_child", order],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                cwd=cwd,
                env=environ,
                start_new_session=True,
            )
        except OSError:
            logger.exception("a run cannot be started")
            raise SourceError(f"no run can be started: {IN_LOG}") from None
        self._ran = Ran()
        self._pid = 0
        self._reader = threading.Thread(target=self._read, name="run", daemon=True)
        self._reader.start()

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *exc: object) -> None:
        """End it; never raises. Closing its guard's input has the guard end it."""
        with contextlib.suppress(OSError):
            if self.process.stdin:
                self.process.stdin.close()
        try:
            self.process.wait(_ASK_SECONDS + 5)
        except subprocess.TimeoutExpired:
            for pid in filter(None, (self._pid, self.process.pid)):
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL) if os.name == "posix" else self.process.kill()
            self.process.wait()
        self._reader.join(timeout=5)

    def ran(self) -> Ran:
        """What it told, once it has ended. Raises SourceError if it was cut off."""
        self._reader.join(timeout=5)
        if self._ran.ended or self._ran.error:
            return self._ran
        code = self.process.returncode
        logger.error("a run was cut off (exit code %s): %s", code, " | ".join(self._ran.said[-20:]))
        how = f"signal {code - 128}" if code > 128 else f"exit code {code}"
        kept = f"; what it had done by then is kept as run {self._ran.run_id}" if self._kept() else ""
        raise SourceError(f"the run's process was cut off ({how}): run it again{kept}")

    def _kept(self) -> bool:
        return any("case" in one for one in self._ran.told)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = _json(line)
            if told is None:
                if line.startswith("pid ") and not self._pid:
                    self._pid = int(line[4:]) if line[4:].strip().isdigit() else 0
                else:
                    self._ran.said.append(line.rstrip())
                    del self._ran.said[:-200]
            elif "run" in told:
                self._ran.run_id = str(told["run"])
            elif "end" in told:
                self._ran.ended = True
            elif "error" in told and "broken" not in told:
                self._ran.error = (str(told["error"]), str(told.get("text", "")))
            else:
                if told.get("error", "own") != "own":
                    logger.error("%s could not be run: %s: %s", told.get("broken"), told["error"], told.get("text"))
                self._ran.told.append(told)


def _json(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
