"""``harness seed`` and ``harness check coherence``, as processes of their own, on databases that have no tables yet."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from polling import eventually
from rich.console import Console
from stopping import hears_ctrl_c

from fixtures.seed.work import Done, Job
from harness import seed_cli
from harness.servers.urls import VARIABLE
from harness.suite import Suite
from harness.vocabulary import LOGICAL

from .conftest import Run, environment
from .test_cli import one_line

SQL = ("promptads", "promptcrm", "promptsales")


@pytest.fixture
def bare(suite: Suite) -> Iterator[Callable[..., dict[str, str]]]:
    """Databases in which nothing is, as environment variables."""
    made = []

    def make(*logicals: str) -> dict[str, str]:
        urls = dict.fromkeys(VARIABLE.values(), "")
        for logical in logicals:
            made.append(suite.databases.make(logical, ()))
            urls[VARIABLE[logical]] = made[-1].url
        return urls

    yield make
    for one in made:
        suite.databases.drop(one)


@pytest.fixture
def seeding(cli: Run) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``harness seed`` with these words, on databases that URLs are given for."""
    return lambda urls, *words: cli("seed", *words, "--servers", "external", **urls)


Seeding = Callable[..., "subprocess.CompletedProcess[str]"]


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def test_all_five_are_made_filled_and_agree(cli: Run, bare: Callable[..., dict[str, str]], seeding: Seeding) -> None:
    urls = bare(*LOGICAL)
    done = seeding(urls, "tiny")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["promptcrm", "client", "200"] in [line[:3] for line in lines]
    assert {line[0] for line in lines} >= set(LOGICAL)
    assert "rows/s" in done.stdout.splitlines()[-3]
    assert "time of all processes: generate" in done.stdout
    assert ask(urls["PROMPTCRM_URL"], "SELECT count(*) FROM client") == [(200,)]
    assert ask(urls["PROMPTADS_URL"], "SELECT count(*) FROM campaign WHERE status = 'active'") == [(6,)]
    assert ask(urls["PROMPTSALES_URL"], "SELECT rebuild_month_summary()") == [(0,)]

    again = seeding(urls, "tiny", "--only", ",".join(SQL))
    assert again.returncode == 0
    assert again.stdout == "everything was there already\n"

    coherent = cli("check", "coherence", **urls)
    assert coherent.returncode == 0, coherent.stdout + coherent.stderr
    assert "a client's month is the sum" in coherent.stdout
    assert "not checked" not in coherent.stdout
    told = json.loads(cli("check", "coherence", "--json", **urls).stdout)
    assert told["coherent"] is True

    with psycopg.connect(urls["PROMPTCRM_URL"]) as connection:
        connection.execute("UPDATE sale SET total = total + 1 WHERE id = (SELECT min(id) FROM sale)")
    broken = cli("check", "coherence", **urls)
    assert broken.returncode == 1
    assert "sale " in broken.stdout
    assert broken.stderr == ""


def test_a_range_of_clients_alone_then_the_rest_then_the_sums(
    bare: Callable[..., dict[str, str]], seeding: Seeding
) -> None:
    urls = bare("promptcrm", "promptsales")
    numbers = ("tiny", "--clients", "1_000", "--seed", "9", "--peak-month", "8", "--as-of", "2025-12-31")
    assert seeding(urls, *numbers, "--range", "401:800").returncode == 0
    for variable in ("PROMPTCRM_URL", "PROMPTSALES_URL"):
        assert ask(urls[variable], "SELECT min(id), max(id), count(*) FROM client") == [(401, 800, 400)]
    assert ask(urls["PROMPTSALES_URL"], "SELECT count(*) FROM campaign_month") == [(0,)]
    assert seeding(urls, *numbers, "--no-finish").returncode == 0
    assert ask(urls["PROMPTSALES_URL"], "SELECT count(*) FROM client") == [(1000,)]
    assert ask(urls["PROMPTSALES_URL"], "SELECT count(*) FROM campaign_month") == [(0,)]
    assert seeding(urls, *numbers, "--finish-only").returncode == 0
    assert ask(urls["PROMPTSALES_URL"], "SELECT count(*) > 0, max(month)::text FROM campaign_month") == [
        (True, "2025-12-01")
    ]


def test_two_that_begin_at_once_make_one_schema_and_one_set_of_rows(bare: Callable[..., dict[str, str]]) -> None:
    urls = bare("promptcrm", "promptsales")
    words = [sys.executable, "-m", "harness.cli", "seed", "tiny", "--clients", "1000", "--servers", "external"]
    both = [
        subprocess.Popen([*words, "--range", ids], env=environment(**urls), stderr=subprocess.PIPE, text=True)
        for ids in ("1:400", "401:1000")
    ]
    for process in both:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    for variable in ("PROMPTCRM_URL", "PROMPTSALES_URL"):
        assert ask(urls[variable], "SELECT min(id), max(id), count(*) FROM client") == [(1, 1000, 1000)]


def test_what_was_begun_is_not_mixed_with_something_else(bare: Callable[..., dict[str, str]], seeding: Seeding) -> None:
    urls = bare("promptads")
    assert seeding(urls, "tiny", "--only", "promptads").returncode == 0
    line = one_line(seeding(urls, "tiny", "--only", "promptads", "--campaigns", "30"), 1)
    assert "promptads was seeded with campaigns 20, not with campaigns 30" in line
    assert seeding(urls, "tiny", "--only", "promptads", "--campaigns", "30", "--replace").returncode == 0
    assert ask(urls["PROMPTADS_URL"], "SELECT count(*) FROM campaign") == [(30,)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("tiney",), 1, "there is no size 'tiney', did you mean 'tiny'?"),
        (("tiny", "--only", "promptcrn"), 1, "there is no database 'promptcrn', did you mean 'promptcrm'?"),
        (("tiny", "--range", "1-200"), 1, "'1-200' is no range of ids: FIRST:LAST"),
        (("tiny", "--range", "1:150"), 1, "a range begins and ends between those: 1:200"),
        (("tiny", "--clients", "0"), 1, "clients: 0 is not between 1 and"),
        (("tiny", "--peak-month", "12"), 1, "peak month 12"),
        (("tiny",), 3, "not up: start the servers with 'harness up', or give their URLs"),
        (("tiny", "--only", "promptads"), 3, "promptads: not up"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    bare: Callable[..., dict[str, str]], seeding: Seeding, words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in one_line(seeding(bare(), *words), code)


def test_a_server_that_is_not_there_is_one_line_without_its_password(
    bare: Callable[..., dict[str, str]], seeding: Seeding
) -> None:
    urls = bare() | {"PROMPTADS_URL": "postgresql://ana:s3cret@127.0.0.1:1/promptads"}
    done = seeding(urls, "tiny")
    assert "promptads at postgresql://ana:***@127.0.0.1:1/promptads cannot be reached" in one_line(done, 3)
    assert "promptcrm: left out, no URL given" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_nothing_up_is_nothing_to_compare(cli: Run, bare: Callable[..., dict[str, str]]) -> None:
    assert "no database is up" in one_line(cli("check", "coherence", **bare()), 3)


def test_the_sources_alone_leave_the_rest_to_the_etl(bare: Callable[..., dict[str, str]], seeding: Seeding) -> None:
    urls = bare(*SQL)
    assert "leaves the sums by month to the ETL" in one_line(seeding(urls, "tiny", "--sources", "--finish"), 1)
    done = seeding(urls, "tiny", "--sources")
    assert done.returncode == 0, done.stderr
    assert "come into promptsales with 'harness etl run'" in done.stdout + done.stderr
    assert ask(urls["PROMPTCRM_URL"], "SELECT count(*) FROM client") == [(200,)]
    assert ask(urls["PROMPTSALES_URL"], "SELECT (SELECT count(*) FROM plan), (SELECT count(*) FROM client)") == [(3, 0)]
    assert "--replace" in seeding(urls, "tiny").stderr


def test_an_interrupt_ends_it_and_its_workers_without_a_word_too_many(bare: Callable[..., dict[str, str]]) -> None:
    urls = bare("promptcrm")
    words = [sys.executable, "-m", "harness.cli", "seed", "full", "--only", "promptcrm", "--servers", "external"]
    process = subprocess.Popen(
        words,
        env=environment(**urls),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,
    )
    with psycopg.connect(urls["PROMPTCRM_URL"], autocommit=True) as connection:
        begun = "SELECT to_regclass('seed_range') IS NOT NULL"
        some = "SELECT count(*) > 0 FROM seed_range WHERE job = 'clients'"
        eventually(lambda: connection.execute(begun).fetchone() == (True,))
        eventually(lambda: connection.execute(some).fetchone() == (True,), seconds=60)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
        _, said = process.communicate(timeout=60)
        assert process.returncode not in (0, None)
        assert "Traceback" not in said
        left = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'promptsales seed' AND datname = current_database()"
        )
        eventually(lambda: connection.execute(left).fetchone() == (0,), "the workers outlive it")
        (done,) = connection.execute(
            "SELECT sum(last_id - first_id + 1) FROM seed_range WHERE job = 'clients'"
        ).fetchone()
        assert connection.execute("SELECT count(*) FROM client").fetchone() == (done,)


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_lines_in_a_pipe_and_bars_on_a_terminal(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(seed_cli, "QUIET", -1.0)
    monkeypatch.setattr(
        "rich.console.Console", partial(Console, file=written, force_terminal=terminal, width=80, stderr=False)
    )
    jobs = [Job("promptcrm", "clients", first, first + 9) for first in range(1, 101, 10)]
    with seed_cli._progress() as listen:
        for job in jobs:
            listen(job, None)
        for job in jobs:
            listen(job, Done(job, Counter()))
    if terminal:
        assert "promptcrm" in written.getvalue()
        assert "100%" in written.getvalue()
    else:
        assert written.getvalue().splitlines() == [f"promptcrm: {tenth}0 %" for tenth in range(1, 11)]


def test_nothing_is_shown_of_what_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(seed_cli, "QUIET", 1e9)
    monkeypatch.setattr("rich.console.Console", partial(Console, file=written, force_terminal=True, stderr=False))
    with seed_cli._progress() as listen:
        job = Job("promptads", "campaigns", 1, 10)
        listen(job, None)
        listen(job, Done(job, Counter()))
    assert written.getvalue() == ""
