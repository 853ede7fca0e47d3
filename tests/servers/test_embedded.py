from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pymongo
import pytest
import redis
from polling import eventually

from harness.errors import ServerError
from harness.servers import processes
from harness.servers.base import LOGICAL
from harness.servers.embedded import EmbeddedServers, embedded_servers
from harness.servers.login import log_in

from .conftest import Script, new_run_id


def test_only_what_is_asked_for_is_started() -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        assert servers.describe("promptcrm") == ("postgresql", True)
        assert not servers.folder.path.exists()
        servers.target("cache")
        assert servers.started() == ["valkey"]
    finally:
        servers.stop()
    assert not servers.folder.path.exists()
    servers.stop()  # twice is fine


def test_all_start_side_by_side_and_let_us_in(capsys: pytest.CaptureFixture[str]) -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        began = time.monotonic()
        servers.prefetch(LOGICAL)
        seconds = time.monotonic() - began
        assert servers.started() == ["pg1", "pg2", "secantus", "valkey"]
        for logical in LOGICAL:
            log_in(servers.target(logical).url)
        pids = [record.pid for record in servers.folder.records()]
    finally:
        servers.stop()
    with capsys.disabled():
        print(f"\n    cold start of all embedded servers: {seconds:.2f} s")
    from psutil import STATUS_ZOMBIE, Process, pid_exists

    assert [pid for pid in pids if pid_exists(pid) and Process(pid).status() != STATUS_ZOMBIE] == []


def test_ids_and_stand_ins(embedded: EmbeddedServers) -> None:
    labels = {logical: embedded.target(logical).label for logical in LOGICAL}
    assert labels == {
        "promptsales": "promptsales@postgresql",
        "promptads": "promptads@postgresql-standin",
        "promptcrm": "promptcrm@postgresql-standin",
        "promptcontent": "promptcontent@mongodb-standin",
        "cache": "cache@redis",
    }
    for logical in LOGICAL:
        target = embedded.target(logical)
        assert embedded.describe(logical) == (target.engine, bool(target.stand_in))
    with pytest.raises(ServerError, match="unknown logical database 'promptcms'"):
        embedded.target("promptcms")


def test_ads_and_crm_are_two_instances(embedded: EmbeddedServers) -> None:
    ports = {}
    for logical in ("promptsales", "promptads", "promptcrm"):
        with psycopg.connect(embedded.target(logical).url) as connection:
            assert connection.info.dbname == logical
            ports[logical] = connection.info.port
    assert ports["promptsales"] == ports["promptads"] != ports["promptcrm"]


def test_postgresql_gives_evidence(embedded: EmbeddedServers) -> None:
    with psycopg.connect(embedded.target("promptads").url, autocommit=True) as connection:
        row = connection.execute(
            """SELECT current_setting('deadlock_timeout'), current_setting('log_lock_waits'),
                      current_setting('max_prepared_transactions')::int, current_setting('server_encoding'),
                      current_setting('listen_addresses'), current_setting('unix_socket_directories'),
                      current_setting('data_checksums')"""
        ).fetchone()
        assert row is not None
        assert row[:6] == ("1s", "on", 20, "UTF8", "127.0.0.1", "")
        connection.execute("DO $$ BEGIN RAISE LOG 'a line for the log'; END $$")

        def logged() -> bool:
            found = connection.execute("SELECT pg_read_file(pg_current_logfile())").fetchone()
            return found is not None and "a line for the log" in found[0]

        eventually(logged, "the server's log, read through SQL")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        assert connection.execute("SELECT count(*) FROM pg_stat_statements").fetchone()


def test_nobody_logs_in_without_the_password(embedded: EmbeddedServers) -> None:
    target = embedded.target("promptads")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(target.url, password="wrong")
    url = embedded.target("cache").url
    with pytest.raises(redis.AuthenticationError):
        log_in(url[: len("redis://")] + url.partition("@")[2])


def test_valkey_has_many_databases_and_keeps_nothing(embedded: EmbeddedServers) -> None:
    with redis.Redis.from_url(embedded.target("cache").url) as client:
        assert client.config_get("databases")["databases"] == "1024"
        assert client.config_get("save")["save"] == ""


def test_the_mongodb_stand_in_has_transactions(embedded: EmbeddedServers) -> None:
    with pymongo.MongoClient[dict[str, Any]](embedded.target("promptcontent").url) as client:
        with client.start_session() as session:
            session.start_transaction()
            client.db.things.insert_one({"a": 1}, session=session)
            assert client.db.things.count_documents({}) == 0
            session.commit_transaction()
        assert client.db.things.count_documents({}) == 1
        client.drop_database("db")


SHARE = """
import sys
from harness.servers.embedded import embedded_servers
servers = embedded_servers(sys.argv[1], int(sys.argv[2]))
servers.prefetch(["promptads", "cache"])
print(servers.target("promptads").url, servers.target("cache").url)
servers.stop()  # not the owner: stops nothing
"""


def test_processes_of_a_run_share_one_set(script: Callable[..., Script]) -> None:
    run = new_run_id()
    servers = embedded_servers(run, os.getpid())
    try:
        others = [script(SHARE, run, os.getpid()) for _ in range(3)]  # they race for who starts
        seen = {other.output() for other in others}
        assert len(seen) == 1
        assert f"{servers.target('promptads').url} {servers.target('cache').url}" in seen
        log_in(servers.target("promptads").url)
        assert servers.started() == ["pg1", "valkey"]
    finally:
        servers.stop()


def test_a_server_that_went_away_is_told_with_its_log() -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        servers.target("cache")
        (record,) = [one for one in servers.folder.records() if one.server == "valkey"]
        import psutil

        psutil.Process(record.pid).kill()
        eventually(lambda: not record.alive, "valkey is gone")
        again = embedded_servers(servers.folder.path.name.removeprefix("run-"), os.getpid())
        with pytest.raises(ServerError, match=r"valkey went away during the run(?s:.*)\n    "):
            again.target("cache")
    finally:
        servers.stop()


def test_a_server_that_was_found_dead_is_replaced_though_its_process_still_ends() -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        first = servers.target("cache")
        record = servers.folder.read("valkey")
        assert record is not None
        processes.stop(record.pid, record.created)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ending:
            record.pid, record.created = ending.pid, processes.started_at(ending.pid) or 0.0
            servers.folder.write(record)
            servers.forget("cache")
            second = servers.target("cache")
            assert ending.wait(20) != 0  # it was not waited for
        assert second.url != first.url
        log_in(second.url)
        servers.forget("cache")
        assert servers.target("cache") == second  # one that lets us in is left as it is
    finally:
        servers.stop()


def test_the_records_are_for_us_alone(embedded: EmbeddedServers) -> None:
    embedded.target("cache")
    for file in embedded.folder.path.glob("*.json"):
        assert file.stat().st_mode & 0o077 == 0
        json.loads(file.read_text())


@pytest.mark.parametrize("run_id", ["", "../x", "a b", "x" * 65])
def test_a_run_id_is_a_plain_word(run_id: str) -> None:
    with pytest.raises(ServerError, match="not a run id"):
        embedded_servers(run_id, os.getpid())
