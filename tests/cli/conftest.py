"""The command line, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.servers.urls import VARIABLE
from harness.suite import Suite

PROJECT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLE.values()}
    clean.pop("PG_TEST_TIMEOUT_DEFAULT", None)
    return clean | {"PYTHONPATH": str(PROJECT), "FORCE_COLOR": "", "COLUMNS": "120"} | more


@pytest.fixture
def url(suite: Suite) -> str:
    return suite.servers.target("promptsales").url


@pytest.fixture
def cli(url: str, tmp_path: Path) -> Run:
    """Run the command line in a folder that is empty at first, with the tests' own server as promptsales."""

    def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", *map(str, arguments)],
            cwd=tmp_path,
            env=environment(PROMPTSALES_URL=url) | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for text in (done.stdout, done.stderr):
            assert "Traceback" not in text
            assert "\x1b" not in text, "no ANSI in a pipe"
        return done

    return run
