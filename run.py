#!/usr/bin/env python3
"""One line from a fresh clone: makes a virtual environment, installs the project into it, and runs a command there.

    python3 run.py             a deadlock of three transactions on a real PostgreSQL
    python3 run.py test …      the tests; what follows goes to pytest
    python3 run.py harness …   any command of the harness
    python3 run.py python …    the environment's Python

Needs Python 3.11 and pip, nothing else: where Debian leaves out ensurepip, the system's pip fills the environment.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / ".installed"
NEEDED = (3, 11)


def main(arguments: list[str]) -> int:
    """Install if something changed, then run."""
    if sys.version_info < NEEDED:
        print(
            f"run.py: needs Python {NEEDED[0]}.{NEEDED[1]} or newer, this is {sys.version.split()[0]}", file=sys.stderr
        )
        return 2
    problem = install()
    if problem:
        print(f"run.py: {problem}", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    command, *rest = arguments if arguments and not arguments[0].startswith("-") else ["demo", *arguments]
    if command == "demo":
        cases = ["-k", "promptsales@postgresql-read_committed"]
        return call([str(PYTHON), "-m", "harness.cli", "run", "scenarios/deadlock/cascade.yaml", *cases, *rest])
    if command == "test":
        # Some tests take a hundred times as long as others.
        whole = ["-n", "2", "--dist", "worksteal", "--junitxml=results/junit.xml"]
        return call([str(PYTHON), "-m", "pytest", *(rest or whole)])
    if command == "harness":
        return call([str(PYTHON), "-m", "harness.cli", *rest])
    if command == "python":
        return call([str(PYTHON), *rest])
    print(f"run.py: unknown command {command!r}: demo (or nothing), test, harness or python", file=sys.stderr)
    return 2


def install() -> str:
    """Make the environment hold what pyproject.toml says; gives what went wrong, or nothing."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return ""
    print("run.py: installing into .venv (once; about a minute, most of it downloads)", file=sys.stderr, flush=True)
    if call([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)]):
        return "the virtual environment cannot be made: see above"
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        if call([str(PYTHON), "-m", "ensurepip"]):
            return "there is no pip: install it (Debian: apt install python3-pip)"
        pip = [str(PYTHON), "-m", "pip"]
    else:
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    if call([*pip, "install", *quiet, "-e", f"{ROOT}[embedded,dev]"]):
        return "pip could not install the project: see above"
    STAMP.write_text(wanted)
    return ""


def call(command: list[str]) -> int:
    """Run a command to its end, also through Ctrl-C, which it hears itself."""
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
