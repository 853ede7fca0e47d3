"""Runs what lies in ``etl/`` with Apache Hop, headless: found or brought, started, listened to, ended.

    hop = setup()                                        # or find(): None if there is none yet
    ended = hop.run("delta", variables(targets), print)  # Hop's exit code, its errors, its log

Hop takes no variables from the process's environment. They go to it as one of its own *environments*, a file of names and
values; on Linux that is in memory and reached by a descriptor that the child inherits, elsewhere in a private folder. No
secret is on a command line or in a log.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.errors import EtlError
from harness.etl import hop_home
from harness.etl.hop_errors import Errors
from harness.etl.hop_fetch import Progress
from harness.etl.hop_java import find_java

__all__ = ["Ended", "Hop", "Running", "find", "setup"]

PROJECT = "promptsales"
FOLDER = Path(__file__).resolve().parents[2] / "etl"
FLAGS = (
    *("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"),
    *("-Duser.timezone=UTC", "-Dfile.encoding=UTF-8", "-Duser.language=en", "-Djava.awt.headless=true"),
)
"""Small and quick to start. A time without zone passes through Java's dates: only in UTC does every one of them exist."""

KEPT_LOGS = 30

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run came to: Hop's exit code (0: every source was merged), a line for each error, the file of all it said."""

    code: int
    errors: tuple[str, ...]
    log: Path


@dataclass(frozen=True, slots=True)
class Hop:
    """A Hop that can run: a home and a Java, or Docker's image."""

    home: Path | None
    java: Path | None
    image: str = ""

    def __str__(self) -> str:
        return f"{self.home} with {self.java}" if self.home else f"Docker's {self.image}"

    def start(
        self,
        workflow: str,
        variables: Mapping[str, str],
        on_line: OnLine = lambda line: None,
        *,
        level: str = "Basic",
        log: Path | None = None,
        folder: Path = FOLDER,
    ) -> Running:
        """Begin to run ``workflow`` (``delta``, or a path in ``folder``); a thread calls ``on_line``. Raises EtlError."""
        file = _file(folder, workflow)
        return Running(self, file, folder, variables, on_line, level, log or _new_log(Path(file).stem))

    def run(
        self,
        workflow: str,
        variables: Mapping[str, str],
        on_line: OnLine = lambda line: None,
        *,
        level: str = "Basic",
        log: Path | None = None,
        folder: Path = FOLDER,
    ) -> Ended:
        """Run it to its end; killed if we are interrupted. Raises EtlError if it cannot be started."""
        with self.start(workflow, variables, on_line, level=level, log=log, folder=folder) as running:
            return running.wait()


def find() -> Hop | None:
    """A Hop that is here and can run, or None. Raises EtlError: PROMPTSALES_HOP names none, or there is no Java for it."""
    place = hop_home.find_place()
    if place is None:
        try:
            find_java()
        except EtlError:
            docker = hop_home.docker_place()
            return Hop(None, None, docker.image) if docker else None
        return None
    try:
        return Hop(place.home, find_java())
    except EtlError:
        if docker := hop_home.docker_place():
            return Hop(None, None, docker.image)
        raise


def setup(progress: Progress = lambda done, total: None, repository: str = "") -> Hop:
    """A Hop that can run; fetched if it is not here. ``progress`` gets bytes so far and bytes in all. Raises EtlError."""
    if found := find():
        return found
    java = find_java()  # before 50 MB are fetched for nothing
    return Hop(hop_home.bring(progress, repository), java)


class Running:
    """Hop at work, in a process group of its own, which ends when we do, however we end. Leaving its ``with`` kills it."""

    def __init__(
        self, hop: Hop, file: str, folder: Path, variables: Mapping[str, str], on_line: OnLine, level: str, log: Path
    ) -> None:
        self.log = log
        self.pid = 0
        """Java's own (Docker's client's), which leads the group."""
        self._errors = Errors()
        self._on_line = on_line
        self._lock = threading.Lock()
        self._private = Path(tempfile.mkdtemp(prefix="promptsales-hop-"))
        try:
            held, path = _hold(self._private, variables)
            try:
                command = _command(hop, file, folder, self._private, path, level)
                guard = [sys.executable, "-I", "-S", str(Path(__file__).with_name("hop_guard.py"))]
                self._out = log.open("wb")
                self._process = subprocess.Popen(
                    [*guard, *command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=hop.home or folder,
                    env=_environ(),
                    start_new_session=True,  # Ctrl-C is ours to pass on
                    pass_fds=[held] if held >= 0 else [],
                )
            finally:
                if held >= 0:
                    os.close(held)
        except OSError as problem:
            shutil.rmtree(self._private, ignore_errors=True)
            raise EtlError(
                f"Hop cannot be started: {problem.strerror or problem} ({problem.filename or hop})"
            ) from None
        assert self._process.stdout is not None
        first = self._process.stdout.readline().decode("utf-8", "replace").strip()
        if first.startswith("pid "):
            self.pid = int(first.removeprefix("pid "))
        else:
            self._line(first)
        self._reader = threading.Thread(target=self._read, name="hop", daemon=True)
        self._reader.start()

    def wait(self, timeout: float | None = None) -> Ended:
        """Until it has ended. Raises TimeoutError after ``timeout`` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"Hop is still at work after {timeout:.0f} s") from None
        self._reader.join(timeout=10)
        self._tidy()
        return Ended(code, self._errors.found(), self.log)

    def running(self) -> bool:
        """Whether it still is."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end (SIGTERM); :meth:`wait` then gives what it came to."""
        if self.pid and self.running():
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it now, as ``kill -9`` does; never raises."""
        if self.pid and self.running() and os.name == "posix":
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=10)
        self._tidy()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._out:
            for raw in self._process.stdout:
                self._out.write(raw)
                self._out.flush()
                self._line(raw.decode("utf-8", "replace").rstrip())

    def _line(self, line: str) -> None:
        self._errors.line(line)
        with contextlib.suppress(Exception):  # whatever a listener does: who stops reading here stops Hop
            self._on_line(line)

    def _tidy(self) -> None:
        with self._lock:
            if self._process.stdin and not self._process.stdin.closed:
                self._process.stdin.close()
            shutil.rmtree(self._private, ignore_errors=True)


def _file(folder: Path, workflow: str) -> str:
    """Its path in the project. Raises EtlError."""
    if not folder.is_dir():
        raise EtlError(
            f"{folder} is not there: the ETL's files are in the repository, not in the package; run it from there"
        )
    for path in (folder / workflow, folder / "workflows" / f"{workflow}.hwf", folder / "pipelines" / f"{workflow}.hpl"):
        if path.is_file():
            return path.relative_to(folder).as_posix()
    raise EtlError(f"{workflow}: neither a workflow nor a pipeline of {folder}")


def _new_log(name: str) -> Path:
    """A log's file in the cache folder; the oldest go. Raises EtlError."""
    folder = hop_home.cache_folder() / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.log"))[: -KEPT_LOGS + 1]:
            old.unlink(missing_ok=True)
    except OSError as problem:
        raise EtlError(f"Hop's log cannot be kept in {folder}: {problem.strerror}") from None
    return folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{os.getpid()}-{name}.log"


def _hold(private: Path, variables: Mapping[str, str]) -> tuple[int, str]:
    """The variables as a file that Hop reads: in memory, by an inherited descriptor; else in the private folder (-1)."""
    content = {"variables": [{"name": name, "value": value, "description": ""} for name, value in variables.items()]}
    data = json.dumps(content).encode()
    if sys.platform == "linux":
        held = os.memfd_create("variables")
        os.write(held, data)
        return held, f"/proc/self/fd/{held}"
    path = private / "variables.json"
    path.touch(mode=0o600)
    path.write_bytes(data)
    return -1, str(path)


def _command(hop: Hop, file: str, folder: Path, private: Path, variables: str, level: str) -> list[str]:
    if hop.home is None:
        return _docker(hop, file, folder, private, variables, level)
    projects = {
        "enabled": True,
        "projectMandatory": False,
        "environmentMandatory": False,
        "defaultProjectConfigFile": "project-config.json",
        "projectConfigurations": [
            {"projectName": PROJECT, "projectHome": str(folder), "configFilename": "project-config.json"}
        ],
        "lifecycleEnvironments": [
            {"name": "run", "purpose": "Production", "projectName": PROJECT, "configurationFiles": [variables]}
        ],
        "projectLifecycles": [],
    }
    (private / "hop-config.json").write_text(json.dumps({"variables": [], "projectsConfig": projects}), "utf-8")
    return [
        str(hop.java),
        *FLAGS,
        f"-Djava.io.tmpdir={private}",
        f"-DHOP_CONFIG_FOLDER={private}",
        f"-DHOP_AUDIT_FOLDER={private / 'audit'}",
        "-DHOP_PLATFORM_RUNTIME=Run",
        "-cp",
        hop_home.classpath(hop.home),
        "org.apache.hop.run.HopRun",
        *("-e", "run", "-r", "local", "-l", level, "-f", "${PROJECT_HOME}/" + file),
    ]


def _docker(hop: Hop, file: str, folder: Path, private: Path, variables: str, level: str) -> list[str]:
    """As the image's documentation has it (hop.apache.org, "Docker container"); written from it, never run here."""
    inside = private / "variables.json"
    if variables != str(inside):
        inside.write_bytes(Path(variables).read_bytes())  # a descriptor does not reach into a container
    inside.chmod(0o644)  # for the container's user; the folder is private
    told = {
        "HOP_LOG_LEVEL": level,
        "HOP_PROJECT_NAME": PROJECT,
        "HOP_PROJECT_FOLDER": "/project",
        "HOP_ENVIRONMENT_NAME": "run",
        "HOP_ENVIRONMENT_CONFIG_FILE_NAME_PATHS": "/variables.json",
        "HOP_RUN_CONFIG": "local",
        "HOP_FILE_PATH": "${PROJECT_HOME}/" + file,
        "HOP_OPTIONS": " ".join(FLAGS),
    }
    command = [shutil.which("docker") or "docker", "run", "--rm", "--network", "host"]
    command += ["-v", f"{folder}:/project:ro", "-v", f"{inside}:/variables.json:ro"]
    for name, value in told.items():
        command += ["-e", f"{name}={value}"]
    return [*command, hop.image]


def _environ() -> dict[str, str]:
    """Ours, without what would change the JVM behind our back, or tells what is none of Hop's business."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
        and not name.startswith("PROMPTSALES_")
    }
