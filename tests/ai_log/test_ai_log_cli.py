"""``harness ai-log`` as a person has it: what is shown, and with which exit code it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from fixtures.databases import Database
from harness.ai_log.store import AiLog
from harness.servers.base import Target
from harness.servers.urls import VARIABLE

pytestmark = pytest.mark.mcp

PROJECT = Path(__file__).resolve().parents[2]
Ended = subprocess.CompletedProcess[str]


def command(*arguments: str, cwd: Path, url: str | None = None) -> Ended:
    """The command line as a process of its own."""
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLE.values()}
    environ |= {"PYTHONPATH": str(PROJECT), "COLUMNS": "120", "PROMPTSALES_SERVERS": "embedded"}
    environ |= {"PROMPTSALES_URL": url, "PROMPTSALES_SERVERS": "external"} if url else {}
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "ai-log", *arguments],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "no ANSI in a pipe"
    return done


@pytest.fixture
def log(promptsales_db: Database) -> Iterator[AiLog]:
    made = AiLog(Target("promptsales", "postgresql", promptsales_db.url))
    yield made
    made.close()


@pytest.mark.parametrize("word", ["export", "verify", "show"])
def test_no_servers(tmp_path: Path, word: str) -> None:
    done = command(word, cwd=tmp_path)
    assert done.returncode == 3
    assert (
        done.stderr
        == "harness: promptsales: not up: start it with 'harness up', or say where it is (PROMPTSALES_URL)\n"
    )


def test_check_without_a_server_looks_at_the_page(page: Path) -> None:
    for options in ((), ("--offline",)):
        done = command("check", page.name, *options, cwd=page.parent)
        assert (done.returncode, done.stdout) == (0, "✓ AI_LOG.md: the log itself was not asked\n")
    page.write_text(
        page.read_text("utf-8").replace("|--------|------------|\n", "|--------|------------|\n| - | - | - | - |\n", 1),
        "utf-8",
    )
    done = command("check", page.name, cwd=page.parent)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 4
    assert "AI_LOG.md:27:3: '-' is no day" in done.stdout


def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    for words in (("check",), ("add", "--name", "Ana", "--prompt", "a query", "--validation", "tests pass")):
        done = command(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (
            1,
            "harness: docs/AI_LOG.md: there is no such page: go to the folder that has it, or name it\n",
        )


def test_add(page: Path) -> None:
    words = ("add", "--file", page.name, "--name", "Ana", "--prompt", "a [query]", "--validation")
    done = command(*words, "its rows were counted by hand", cwd=page.parent)
    assert done.returncode == 0, done.stderr
    line = int(done.stdout.rpartition(":")[2])
    assert page.read_text("utf-8").split("\n")[line - 1] == (
        f"| {date.today()} | Ana | a \\[query\\] | its rows were counted by hand |"
    )
    done = command(*words, "todo ok", cwd=page.parent)
    assert done.returncode == 1
    assert done.stderr.startswith("harness: the validation says nothing: write what was done to make sure")
    done = command(*words, "tests pass", "--date", "31/01/2026", cwd=page.parent)
    assert done.returncode == 2


def test_from_calls_to_a_page_that_is_checked(promptsales_db: Database, page: Path, log: AiLog, make_call) -> None:
    folder, url = page.parent, promptsales_db.url
    assert command("show", cwd=folder, url=url).stdout == "no MCP server was called yet\n"
    assert command("verify", cwd=folder, url=url).stdout == "✓ 0 entries follow one another; there is no anchor yet\n"
    for number in range(3):
        log.append(make_call(arguments={"n": number}, server="promptcrm" if number == 1 else "promptads"))
    log.append(make_call("\x1b[31mred\u202e", arguments={"url": "postgresql://ana:sesame@db/x"}))
    shown = command("show", "--last", "2", cwd=folder, url=url)
    assert shown.returncode == 0
    assert "n=2" in shown.stdout
    assert "n=1" not in shown.stdout
    assert "sesame" not in shown.stdout

    done = command("check", page.name, cwd=folder, url=url)
    assert done.stdout == "✓ AI_LOG.md: the log's 4 entries follow one another, 4 of them are not exported yet\n"
    done = command("export", "--write", page.name, cwd=folder, url=url)
    assert (done.returncode, done.stdout) == (0, "✓ AI_LOG.md: 4 rows\n")
    assert "sesame" not in page.read_text("utf-8")
    done = command("check", page.name, cwd=folder, url=url)
    assert done.stdout == "✓ AI_LOG.md: the log's 4 entries follow one another\n"
    done = command("verify", "--file", page.name, cwd=folder, url=url)
    assert done.stdout == "✓ 4 entries follow one another; the anchor in AI_LOG.md is entry 4 of it\n"

    done = command("export", "--server", "promptcrm", cwd=folder, url=url)
    rows = [line for line in done.stdout.splitlines() if line.startswith("| 2")]
    assert len(rows) == 1
    assert "promptcrm.active" in rows[0]

    promptsales_db.connect().execute(
        "ALTER TABLE ai_log DISABLE TRIGGER ALL; UPDATE ai_log SET name = 'eva' WHERE number = 2"
    )
    done = command("verify", "--file", page.name, cwd=folder, url=url)
    assert (done.returncode, done.stdout) == (1, "✗ entry 2 was changed: what it says does not give its hash\n")
    done = command("check", page.name, cwd=folder, url=url)
    assert done.returncode == 1
    assert "promptsales: entry 2 was changed" in done.stdout
    assert "this is not what the log has for entry 2" in done.stdout
    assert command("check", page.name, "--offline", cwd=folder, url=url).returncode == 0
    done = command("export", "--write", page.name, cwd=folder, url=url)
    assert done.returncode == 1
    assert done.stderr == (
        "harness: the AI log is not whole: entry 2 was changed: what it says does not give its hash; nothing was written\n"
    )


def test_a_database_without_a_log(promptsales_db: Database, page: Path) -> None:
    promptsales_db.connect().execute("DROP TABLE ai_log CASCADE; DROP TABLE ai_log_head CASCADE")
    for words in (("verify",), ("show",), ("export",), ("check", page.name)):
        done = command(*words, cwd=page.parent, url=promptsales_db.url)
        assert done.returncode == 1
        assert "promptsales has no AI log: its schema is older" in done.stderr


def test_a_server_that_is_gone_is_told_without_its_password(page: Path) -> None:
    done = command("verify", cwd=page.parent, url="postgresql://ana:sesame@127.0.0.1:1/x")
    assert done.returncode == 3
    assert "does not answer" in done.stderr
    assert "sesame" not in done.stderr
