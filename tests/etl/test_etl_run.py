"""A round, with a Hop that is quick: what becomes of it however that ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from fake_hop import MERGED, WHOLE, FakeHop, variables
from polling import eventually

from fixtures.databases import Database
from harness.errors import EtlError, ServerError, ServerUnavailable
from harness.etl.ending import Terminated, sigterm_ends
from harness.etl.log import open_log
from harness.etl.logins import PREFIX
from harness.etl.model import SOURCES
from harness.etl.run import Launched, NoRound, UnderWay, run
from harness.servers.base import Target
from harness.servers.roles import with_login

pytestmark = pytest.mark.etl

NOWHERE = {name: Target(name, "redis", "redis://127.0.0.1:1/0") for name in ("promptcontent", "cache")}


@pytest.fixture
def launch(promptsales_db: Database) -> Callable[..., Launched]:
    """Run a round, given what Hop does; afterwards nobody is in PromptSales by a login of the ETL's."""
    target = Target("promptsales", promptsales_db.engine, promptsales_db.url)

    def launched(hop: FakeHop | list[str], **more: object) -> Launched:
        hop = FakeHop(hop) if isinstance(hop, list) else hop
        try:
            return run({"promptsales": target, **NOWHERE}, hop, variables=variables, **more)  # type: ignore[arg-type]
        finally:
            left = promptsales_db.connect().execute(
                "SELECT usename FROM pg_stat_activity WHERE datname = current_database() AND starts_with(usename, %s)",
                [PREFIX],
            )
            assert left.fetchall() == []

    return launched


def statuses(launched: Launched) -> list[str]:
    return [one.status for one in launched.round.runs]


def test_a_round_is_what_the_log_says(launch: Callable[..., Launched]) -> None:
    told: list[str] = []
    hop = FakeHop(WHOLE)
    launched = launch(hop, on_text=told.append)
    assert launched.round.number == 1
    assert launched.round.succeeded
    assert [one.source for one in launched.round.runs] == list(SOURCES)
    assert launched.code == 0
    assert told[-4:] == [f"round 1: merge {source}" for source in SOURCES]
    assert urlsplit(hop.given[0]["FAKE_URL"]).username.startswith(PREFIX)
    assert launch(WHOLE).round.number == 2


def test_a_source_that_is_not_up_is_said_and_the_others_go_on(launch: Callable[..., Launched]) -> None:
    launched = launch(
        ["begin", "merge:promptcontent", "fail:promptads:it is down", "merge:promptcrm", "merge:cache"],
        missing={"promptads": "not up: start it with 'harness up'"},
    )
    assert "promptads: not up: start it with 'harness up'; its run fails" in launched.notes
    assert "promptcrm: not given; its run fails" in launched.notes
    assert statuses(launched) == ["succeeded", "failed", "succeeded", "succeeded"]
    assert not launched.round.succeeded
    assert launched.said == ("promptads: it is down",)


def test_hop_that_is_killed_leaves_no_run_as_if_it_were_under_way(launch: Callable[..., Launched]) -> None:
    launched = launch(["begin", "merge:promptcontent", "kill"])
    assert statuses(launched) == ["succeeded", "failed", "failed", "failed"]
    assert launched.round.runs[1].message == "Hop was ended by signal 9; this source was not merged"
    assert launch(WHOLE).round.succeeded, "the next round begins at once"


def test_hop_that_dies_in_a_merge_has_not_merged(launch: Callable[..., Launched], promptsales_db: Database) -> None:
    hop = FakeHop(["begin", "merge:promptcontent", "merging:promptads"])
    killer = threading.Thread(
        target=lambda: (
            eventually(lambda: hop.started and hop.started[0].ready.exists())
            and os.kill(hop.started[0].pid, signal.SIGKILL)
        )
    )
    killer.start()
    launched = launch(hop)
    killer.join()
    assert statuses(launched) == ["succeeded", "failed", "failed", "failed"]
    with open_log(promptsales_db.url) as log:
        assert [state.upper_bound for state in log.states()] == ["5", None, None, None]


def test_what_is_shown_meanwhile(launch: Callable[..., Launched]) -> None:
    told: list[str] = []
    lines = [
        "say:delta - Starting action [begin a round]",
        "begin",
        "say:read - Starting action [read the source]",
        "say:delta - Starting action [read PromptCrm]",
        "say:what changed since.0 - linenr 50000",
        "exit:1",
    ]
    launch(lines, on_text=told.append)
    assert told[-3:] == ["begin a round", "round 1: read PromptCrm", "round 1: read PromptCrm: 50,000 rows"]


def test_the_round_is_the_one_that_hop_says(launch: Callable[..., Launched]) -> None:
    """Somebody else's round came between our look at the log and Hop's beginning."""
    launched = launch(["begin", *MERGED, "begin", "merge:promptads", "exit:1"])
    assert launched.round.number == 2


def test_what_hop_says_is_in_the_log_without_secrets(launch: Callable[..., Launched]) -> None:
    hop = FakeHop(["begin", "error:cannot log in with $PASSWORD", "exit:1"])
    launched = launch(hop)
    password = urlsplit(hop.given[0]["FAKE_URL"]).password
    assert password
    message = launched.round.runs[0].message
    assert message == "Hop ended with code 1: delta: cannot log in with ***; this source was not merged"
    assert password not in str(launched.said)


def test_no_round_begun(launch: Callable[..., Launched]) -> None:
    with pytest.raises(NoRound, match="Hop ended with code 1: delta: no such driver; no round was begun") as raised:
        launch(["error:no such driver", "exit:1"])
    assert raised.value.log.read_text().strip().endswith("no such driver")


def test_two_do_not_overlap(launch: Callable[..., Launched], promptsales_db: Database) -> None:
    connection = promptsales_db.connect()
    connection.execute("SELECT etl_begin()")
    with pytest.raises(UnderWay, match=r"round 1 is under way since 20.*: two do not overlap"):
        launch(WHOLE)  # PromptSales says so: it was begun a moment ago
    hop = FakeHop(WHOLE)
    promptsales_db.connect(application_name="promptsales-etl 1")
    with pytest.raises(UnderWay, match="round 1 is under way since"):
        launch(hop)
    assert not hop.started, "what is known before is said before"
    assert connection.execute("SELECT count(*) FROM etl_run").fetchone() == (4,)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is, also where whoever runs the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("sent", "why"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_interrupted(
    launch: Callable[..., Launched], promptsales_db: Database, heard: None, sent: signal.Signals, why: str
) -> None:
    hop = FakeHop(["begin", "merge:promptcontent", "merging:promptads"])
    sender = threading.Thread(
        target=lambda: eventually(lambda: hop.started and hop.started[0].ready.exists()) and os.kill(os.getpid(), sent)
    )
    sender.start()
    with pytest.raises(KeyboardInterrupt) as raised, sigterm_ends():
        launch(hop)
    sender.join()
    assert isinstance(raised.value, Terminated) == (sent == signal.SIGTERM)
    assert hop.started[0].wait(5).code == 137
    with open_log(promptsales_db.url) as log:
        runs = log.round(1).runs
    assert [one.status for one in runs] == ["succeeded", "failed", "failed", "failed"]
    assert runs[1].message == f"ended by {why}"


def test_without_a_login_of_its_own(promptsales_db: Database, launch: Callable[..., Launched]) -> None:
    """The URL's user may make no roles: it is used itself, and its sessions are ended if Hop dies."""
    connection = promptsales_db.connect()
    name = f"etl_plain_{os.getpid()}"
    connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw' IN ROLE promptsales_etl")
    try:
        target = Target("promptsales", "postgresql", with_login(promptsales_db.url, name, "pw"))
        launched = run(
            {"promptsales": target, **NOWHERE}, FakeHop(["begin", "merge:promptcontent", "kill"]), variables=variables
        )
        assert any("no login of its own" in note for note in launched.notes)
        assert statuses(launched) == ["succeeded", "failed", "failed", "failed"]
    finally:
        connection.execute(f"DROP ROLE {name}")


def test_what_is_missing_is_one_line(promptsales_db: Database, launch: Callable[..., Launched]) -> None:
    target = Target("promptsales", promptsales_db.engine, promptsales_db.url)
    with pytest.raises(ServerUnavailable, match="promptsales: not up: no round without it"):
        run(NOWHERE, FakeHop([]), missing={"promptsales": "not up"}, variables=variables)
    with pytest.raises(ServerUnavailable, match="none of promptcontent, promptads, promptcrm, cache is up"):
        run({"promptsales": target}, FakeHop([]), variables=variables)
    away = Target("promptsales", "postgresql", "postgresql://ana:secret@127.0.0.1:1/x")
    with pytest.raises(ServerError, match="does not answer") as raised:
        run({"promptsales": away, **NOWHERE}, FakeHop([]), variables=variables)
    assert "secret" not in str(raised.value)
    promptsales_db.connect().execute("DROP VIEW etl_log; ALTER TABLE etl_run DROP COLUMN round CASCADE")
    hop = FakeHop(WHOLE)
    with pytest.raises(EtlError, match="no tables of the ETL"):
        launch(hop)
    assert not hop.started


def test_a_source_is_merged_without_the_others(launch: Callable[..., Launched]) -> None:
    """Hop ends well and says nothing of one: that run is not left as if it were under way."""
    launched = launch(["begin", *MERGED[:3]])
    assert statuses(launched) == ["succeeded", "succeeded", "succeeded", "failed"]
    assert launched.round.runs[3].message == "Hop ended with code 0; this source was not merged"
