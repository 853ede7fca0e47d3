"""``Monitor``: has servers sampled while something runs.

    with Monitor({"promptsales": target}, run_folder, interval=1.0) as monitor:
        work()
    print(monitor.summary.line)

The sampling is done in a process of its own (:mod:`harness.monitor.process`): a Locust hub that is busy does not delay it,
and it does not slow the hub. It ends with us, also if we are killed, and writes down what it has. So this works in a
process that gevent has patched, too; nothing of it runs there but a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from harness.errors import ServerError
from harness.monitor.series import Cost
from harness.servers.base import Target

FIRST = 10.0
"""Seconds that the first samples are waited for."""

_ENDING = 30.0


@dataclass(slots=True)
class Summary:
    """What the monitor has to tell at the end."""

    line: str  # what it cost, for people
    notes: list[str] = field(default_factory=list)  # what could not be seen: "promptcontent: no latencies: …"
    costs: dict[str, Cost] = field(default_factory=dict)  # by series
    cpu: float = 0.0  # seconds of a processor
    seconds: float = 0.0  # that it has run
    joined: bool = False  # another monitor of this run was there already and did the work
    problem: str = ""  # why there are no samples, or not all


class Monitor:
    """Samples the servers of ``targets`` every ``interval`` seconds, and this machine, into ``folder``/monitor.

    ``folder`` is a run's; None: nothing is kept. ``run`` names the run on the servers (default: the folder's name).
    ``prometheus``: ``[ADDRESS:]PORT``. If another monitor keeps samples of this run already, this one does nothing.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        folder: Path | None,
        interval: float = 1.0,
        *,
        run: str = "",
        prometheus: str = "",
        tell: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.summary = Summary("")
        self.url = ""  # where Prometheus finds the samples
        self.joined = False
        self._targets = dict(targets)
        self._order = {
            "run": _plain(run or (folder.name if folder else "")),
            "folder": str(folder.resolve()) if folder else "",
            "interval": interval,
            "parent": os.getpid(),
            "prometheus": prometheus,
            "tell": tell,
        }
        self._environ = os.environ if environ is None else environ
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._owner = os.getpid()

    def __enter__(self) -> Monitor:
        """Start, and wait until everything was sampled once: only then something has happened *since*."""
        self.start()
        self.wait_first()
        return self

    def __exit__(self, *problem: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process that samples; 0 if there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start sampling. Raises ServerError: the process cannot be started, or Prometheus's port is taken."""
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package, self._environ.get("PYTHONPATH")]))
        env = dict(self._environ, PYTHONPATH=path)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "harness.monitor.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="utf-8",
                env=env,
                start_new_session=sys.platform != "win32",  # the terminal's signals are for us: we end it
            )
        except OSError as error:
            raise ServerError(f"the monitor cannot be started: {error.strerror or error}") from None
        self._say(self._order)
        for target in self._targets.values():
            self._say({"add": asdict(target)})
        said = self._hear("ready")
        if "ready" not in said:
            self._end()
            raise ServerError(said.get("error") or f"the monitor did not start: {self._last_words()}")
        self.url, self.joined = said["ready"]["prometheus"], said["ready"]["joined"]

    def add(self, target: Target) -> None:
        """Watch another database's server, or the one that has taken a dead one's place. Never raises."""
        if self._targets.get(target.logical) != target:
            self._targets[target.logical] = target
            self._say({"add": asdict(target)})

    def wait_first(self, seconds: float = FIRST) -> None:
        """Wait until everything that is watched by now was sampled once. Never raises."""
        self._say({"first": seconds})
        self._hear("first")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row when it is taken, with ``tell``: name, label, at, values, waits."""
        while "row" in (said := self._hear("row")):
            yield said["row"]

    def stop(self) -> Summary:
        """Stop sampling, and say what it cost. Never raises; may be called twice."""
        if self._process is None or os.getpid() != self._owner:  # in a fork of ours it is not ours to stop
            return self.summary
        self._say({"stop": True})
        end = self._hear("end").get("end")
        words = self._end()
        self.summary = (
            _summary(end, float(self._order["interval"])) if end else Summary("", problem=f"the monitor died: {words}")  # type: ignore[arg-type]
        )
        return self.summary

    # -- the pipe

    def _say(self, what: Mapping[str, Any]) -> None:
        if self._process is None or self._process.stdin is None or os.getpid() != self._owner:
            return
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()

    def _hear(self, word: str) -> dict[str, Any]:
        """The next line that has this word in it, or the one that says why it will not come; empty if it has died."""
        stream = self._process.stdout if self._process else None
        while stream is not None and (line := stream.readline()):
            said: dict[str, Any] = json.loads(line)
            if word in said or "error" in said or "end" in said:
                return said
        return {}

    def _end(self) -> str:
        """Have the process end; gives its last words."""
        process, self._process = self._process, None
        if process is None:
            return ""
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        words = self._last_words()
        if self._errors is not None:
            self._errors.close()
            self._errors = None
        return words

    def _last_words(self) -> str:
        if self._errors is None:
            return ""
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1][:300] if lines else "it was killed"
        return ""


def _plain(run: str) -> str:
    """A run's name as logins and connections carry it: digits and letters."""
    word = "".join(letter for letter in run.lower() if letter.isascii() and letter.isalnum())
    return word[:32] or f"monitor{secrets.token_hex(4)}"


def _summary(end: Mapping[str, Any], interval: float) -> Summary:
    if end["joined"]:
        return Summary("another monitor samples this run", joined=True)
    costs = {name: Cost(**one["cost"]) for name, one in end["series"].items()}
    notes = [f"{name}: {note}" for name, one in end["series"].items() for note in one["notes"]]
    return Summary(
        line=cost_line(costs, interval, end["cpu"], end["seconds"]),
        notes=notes + end["problems"],
        costs=costs,
        cpu=end["cpu"],
        seconds=end["seconds"],
    )


def cost_line(costs: Mapping[str, Cost], interval: float, cpu: float, seconds: float) -> str:
    """What sampling cost, in one line."""
    servers = len([name for name in costs if name != "host"])
    samples = sum(cost.samples for cost in costs.values())
    what = f"{servers} server{'s' * (servers != 1)} and this machine every {interval:g} s, {samples} samples"
    if failed := sum(cost.failed for cost in costs.values()):
        what += f" ({failed} more failed)"
    medians = [cost.milliseconds for cost in costs.values() if cost.samples]
    if not medians:
        return what
    share = sum(cost.share for cost in costs.values())
    most = max(cost.most for cost in costs.values())
    return (
        f"{what}; one takes {min(medians):.1f} to {max(medians):.1f} ms "
        f"(at most {most:.0f}), all together {100 * share:.1f} % of the time; "
        f"{cpu:.1f} s of a processor in {seconds:.0f} s ({100 * cpu / max(seconds, 1e-9):.1f} %)"
    )
