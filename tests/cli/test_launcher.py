"""run.py: what it runs. That it installs is tried where nothing is installed, not here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[2] / "run.py"


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("launcher", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(Path.cwd())
    monkeypatch.setattr(module, "install", lambda: "")
    return module


@pytest.fixture
def called(launcher: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []

    def call(command: list[str]) -> int:
        calls.append(command[1:])
        return 7

    monkeypatch.setattr(launcher, "call", call)
    return calls


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        ([], ["-m", "harness.cli", "run", "scenarios/deadlock/cascade.yaml"]),
        (["demo"], ["-m", "harness.cli", "run", "scenarios/deadlock/cascade.yaml"]),
        (["test"], ["-m", "pytest", "-n", "2"]),
        (["test", "-k", "deadlock"], ["-m", "pytest", "-k", "deadlock"]),
        (["harness", "show", "--case", "x"], ["-m", "harness.cli", "show", "--case", "x"]),
        (["python", "-c", "pass"], ["-c", "pass"]),
    ],
)
def test_arguments_reach_the_command(
    launcher: ModuleType, called: list[list[str]], arguments: list[str], begins: list[str]
) -> None:
    assert launcher.main(arguments) == 7
    (command,) = called
    assert command[: len(begins)] == begins


def test_an_unknown_command_is_one_line(
    launcher: ModuleType, called: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert launcher.main(["tset"]) == 2
    assert called == []
    assert capsys.readouterr().err.startswith("run.py: unknown command 'tset': ")


def test_a_failed_installation_is_told_and_nothing_is_run(
    launcher: ModuleType, called: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launcher, "install", lambda: "there is no pip: install it")
    assert launcher.main(["test"]) == 2
    assert called == []
    assert capsys.readouterr().err == "run.py: there is no pip: install it\n"


def test_an_old_python_is_told(
    launcher: ModuleType, called: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launcher, "NEEDED", (99, 0))
    assert launcher.main([]) == 2
    assert called == []
    assert "needs Python 99.0 or newer" in capsys.readouterr().err


def test_the_exit_code_is_the_commands(launcher: ModuleType) -> None:
    assert launcher.call([sys.executable, "-c", "raise SystemExit(5)"]) == 5
