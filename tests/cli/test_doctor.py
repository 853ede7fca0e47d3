"""``harness doctor``: what it makes of what it finds, how it says that, and the command as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_ssh
import psutil
import pytest
from polling import eventually
from rich.console import Console
from stopping import hears_ctrl_c

from harness.doctor import Visit
from harness.doctor_advice import to_install
from harness.doctor_facts import HERE, Driver, Examination, Finding, Level, Machine, Reach, Server, State
from harness.doctor_judge import OFF, SLOW, judge
from harness.doctor_text import line, lines, table
from harness.runner.remote.link import Clock
from harness.runner.remote.specs import host_specs
from harness.servers.urls import VARIABLE, make_target

from .conftest import Run, environment
from .test_cli import one_line

FINE = Clock(offset=0.001, error=0.0001, round_trip=0.0002, median=0.0003)
PSYCOPG = Driver("postgresql", "psycopg 3.2.3")
SALES = Server("promptsales", "promptsales@postgresql", "postgresql", "external", "postgresql://u:***@db/x")
ADS = Server("promptads", "promptads@sqlserver", "sqlserver", "external", "mssql://u:***@db/x")
CONTENT = Server("promptcontent", "promptcontent@mongodb", "mongodb", "external", "mongodb://db/x")
CACHE = Server("cache", "cache@redis", "redis", "external", "redis://db")


def machine(name: str = "pc1", **more: Any) -> Machine:
    number = re.sub(r"\D", "", name) or "1"
    made = Machine(
        name,
        local=name == HERE,
        hostname=name,
        address="" if name == HERE else f"10.0.0.1{number}",
        controller="" if name == HERE else "10.0.0.1",
        system="Linux 6.1",
        python="3.11.2",
        executable="/usr/bin/python3",
        clock=FINE,
        drivers=(PSYCOPG,),
        databases=(Reach("promptsales", State.ok, "db", 5432, "10.0.0.11"),),
    )
    return replace(made, **more)


def reaches(state: State, logical: str = "promptsales", **more: Any) -> Machine:
    more = {"host": "db", "port": 5432, "source": "10.0.0.11"} | more
    return machine(databases=(Reach(logical, state, **more),))


def only(*machines: Machine, servers: tuple[Server, ...] = (SALES,)) -> Finding:
    """The one finding."""
    (finding,) = judge(machines, servers)
    return finding


def test_where_all_is_well_nothing_is_found() -> None:
    machines = (machine(HERE), machine("pc1"), machine("pc2"))
    assert judge(machines, [SALES]) == ()
    assert Examination(machines, (SALES,), ()).ready


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (OFF + 0.001, "its clock is 1.001 s ahead of the one here"),
        (-3600.5, "its clock is 3,600.500 s behind the one here"),
        (OFF, ""),
        (-OFF, ""),
    ],
)
def test_a_clock_that_is_off_is_a_warning(offset: float, said: str) -> None:
    found = judge([machine(clock=replace(FINE, offset=offset))], [SALES])
    assert [finding.level for finding in found] == ([Level.warning] if said else [])
    assert all(finding.text.startswith(said) and "turn on NTP" in finding.advice for finding in found)
    assert Examination((), (), found).ready


@pytest.mark.parametrize(("median", "warned"), [(SLOW + 0.001, True), (SLOW, False)])
def test_a_slow_way_is_a_warning_by_its_median(median: float, warned: bool) -> None:
    found = judge([machine(clock=replace(FINE, median=median, round_trip=0.02))], [SALES])
    assert [finding.text for finding in found] == ["a word there and back takes 51.0 ms, at least 20.0 ms"] * warned


def test_a_machine_that_is_not_reached_is_a_problem_said_once() -> None:
    off = Machine("pc2", problem="pc2 cannot be reached: Connection timed out; is it on?")
    old = Machine("pc3", problem="pc3: Python 3.9 there, and 3.11 or newer is needed")
    found = judge([machine(), off, old], [SALES])
    assert [line(finding) for finding in found] == [
        "pc2: cannot be reached: Connection timed out; is it on?",
        "pc3: Python 3.9 there, and 3.11 or newer is needed",
    ]
    assert not Examination((), (), found).ready


def test_problems_come_first() -> None:
    found = judge([machine(clock=replace(FINE, offset=9)), Machine("pc2", problem="pc2: gone")], [SALES])
    assert [finding.level for finding in found] == [Level.problem, Level.warning]


def test_two_names_for_one_machine() -> None:
    finding = only(machine(HERE), machine("pc1"), machine("pc2"), replace(machine("pc1"), name="again"))
    assert (finding.level, finding.machines) == (Level.warning, ("pc1", "again"))
    assert finding.text == "this is one and the same machine (pc1, 10.0.0.11)"
    assert not judge([machine("pc1"), replace(machine("pc1"), name="clone", address="10.0.0.99")], [SALES])
    twice = [replace(machine("popen"), name=name, local=True, address="") for name in ("popen", "popen-2")]
    assert only(*twice).text == "this is one and the same machine (popen, this machine)"


def test_different_versions() -> None:
    newer = machine("pc2", python="3.12.0", drivers=(replace(PSYCOPG, driver="psycopg 3.3.9"),))
    python, driver = judge([machine(HERE, python="3.13.0"), machine("pc1"), newer], [SALES])
    assert python.text == "different versions: Python 3.11.2 on pc1; Python 3.12.0 on pc2"
    assert driver.text == "different versions: psycopg 3.2.3 on pc1; psycopg 3.3.9 on pc2"
    assert {python.level, driver.level} == {Level.warning}
    missing = machine("pc2", drivers=(Driver("postgresql", problem="psycopg is not installed", pip="psycopg[binary]"),))
    assert [finding.level for finding in judge([machine("pc1"), missing], [SALES])] == [Level.problem]


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        ({}, "there: /usr/bin/python3 -m pip install 'psycopg[binary]' redis"),
        ({"local": True}, "/usr/bin/python3 -m pip install 'psycopg[binary]' redis"),
        (
            {"pip": "missing"},
            "there: /usr/bin/python3 -m ensurepip (Debian, Ubuntu: sudo apt install python3-pip), then: "
            "/usr/bin/python3 -m pip install 'psycopg[binary]' redis",
        ),
        (
            {"pip": "managed"},
            "there: /usr/bin/python3 -m venv ~/promptsales && ~/promptsales/bin/pip install 'psycopg[binary]' redis; "
            "then here: --tx …//python=~/promptsales/bin/python (the system lets pip install nothing; Debian, Ubuntu: "
            "sudo apt install python3-venv)",
        ),
        ({"executable": "/a b/python"}, "there: '/a b/python' -m pip install 'psycopg[binary]' redis"),
        ({"executable": ""}, "there: python3 -m pip install 'psycopg[binary]' redis"),
    ],
)
def test_how_drivers_are_installed(more: dict[str, Any], advice: str) -> None:
    assert to_install(machine(**more), ["psycopg[binary]", "redis"]) == advice


def test_drivers_that_pip_brings_are_one_line_and_others_say_it_themselves() -> None:
    missing = [Driver(engine, problem=f"{pip} is not installed", pip=pip) for engine, pip in [("mongodb", "pymongo")]]
    missing.append(Driver("redis", problem="redis is not installed", pip="redis"))
    odbc = Driver("sqlserver", "pyodbc 5.1", problem="no ODBC driver for SQL Server: install it")
    both, other = judge([machine(drivers=(*missing, odbc))], [SALES])
    assert line(both) == (
        "pc1: pymongo is not installed; redis is not installed → there: /usr/bin/python3 -m pip install pymongo redis"
    )
    assert line(other) == "pc1: no ODBC driver for SQL Server: install it"


@pytest.mark.parametrize(
    ("server", "host", "said"),
    [
        (SALES, "db", "on db: start it, and in postgresql.conf: listen_addresses = '*', then restart it; in pg_hba.conf: "
         "host all all 10.0.0.11/32 scram-sha-256 (http"),
        (ADS, "db", "Protocols, TCP/IP: Enabled, and under IPAll: TCP Port 5432, then"),
        (CONTENT, "db", "on db: start it, and in mongod.conf: net.bindIp: localhost,db, then restart it"),
        (CACHE, "db", "on db: start it, and in redis.conf: bind 127.0.0.1 db and requirepass, then restart it"),
        (SALES, "127.0.0.1", "start it, or say in PROMPTSALES_URL where it is"),
        (SALES, "localhost", "start it, or say in PROMPTSALES_URL where it is"),
        (replace(SALES, origin="up"), "10.0.0.1", "see whether it still runs: harness status"),
    ],
)  # fmt: skip
def test_nobody_listens(server: Server, host: str, said: str) -> None:
    finding = only(reaches(State.refused, server.logical, host=host, said="Connection refused"), servers=(server,))
    assert finding.level is Level.problem
    assert finding.text == f"{server.logical}: nobody listens for it at {host}:5432 (Connection refused)"
    assert said in finding.advice


@pytest.mark.parametrize("state", [State.silent, State.unreachable])
def test_a_firewall_is_told_port_and_address(state: State) -> None:
    finding = only(reaches(state, said="timed out"))
    assert finding.advice == (
        "is it on, and does its firewall let 10.0.0.11 in? on db: sudo ufw allow from 10.0.0.11 to any port 5432 proto tcp "
        "(Windows: New-NetFirewallRule -DisplayName promptsales -Direction Inbound -Protocol TCP -LocalPort 5432 "
        "-RemoteAddress 10.0.0.11 -Action Allow)"
    )
    ours = only(reaches(state, said="timed out", host="10.0.0.1"), servers=(replace(SALES, origin="embedded"),))
    assert "here: sudo ufw allow from 10.0.0.11 (Windows" in ours.advice
    assert "5432" not in ours.advice  # the next run has another port


@pytest.mark.parametrize(
    ("state", "source", "text", "advice"),
    [
        (State.unknown, "", "it knows no machine called db (Name or service", "write its address in PROMPTSALES_URL"),
        (State.no_entry, "10.0.0.11", "no line of pg_hba.conf lets 10.0.0.11 in", "host all all 10.0.0.11/32 scram"),
        (State.no_entry, "fd00::2", "no line of pg_hba.conf lets fd00::2 in", "host all all fd00::2/128 scram"),
        (State.login, "", "Name or service not known", "correct user, password and database in PROMPTSALES_URL"),
        (State.failed, "", "Name or service not known", ""),
    ],
)
def test_what_else_keeps_one_from_a_database(state: State, source: str, text: str, advice: str) -> None:
    finding = only(reaches(state, source=source, said="Name or service not known"))
    assert finding.text.startswith(f"promptsales: {text}")
    assert advice in finding.advice


def test_members_of_a_replica_set_have_names_of_their_own() -> None:
    finding = only(reaches(State.failed, "promptcontent", said="localhost:27017: refused"), servers=(CONTENT,))
    assert "PROMPTCONTENT_URL says directConnection=true" in finding.advice


def test_databases_of_one_server_and_machines_with_the_same_are_told_together() -> None:
    other = replace(SALES, logical="promptads", label="promptads@postgresql-standin")
    refused = tuple(
        Reach(server.logical, State.refused, "db", 5432, "10.0.0.9", "refused") for server in (SALES, other)
    )
    finding = only(machine("pc1", databases=refused), machine("pc2", databases=refused), servers=(SALES, other))
    assert finding.machines == ("pc1", "pc2")
    assert finding.text.startswith("promptsales, promptads: nobody listens for it at db:5432")


def test_a_server_that_is_out_of_reach_is_told_whom_to_let_in() -> None:
    why = f"{SALES.label}: its server listens on 127.0.0.1 only; 'harness down', then 'harness up --allow CLIENT'"
    finding = only(reaches(State.out_of_reach, said=why), machine("pc2"))
    assert finding.text == "promptsales: its server listens on 127.0.0.1 only"
    assert finding.advice == "'harness down', then 'harness up --allow 10.0.0.11,10.0.0.12'"


def test_databases_that_cannot_be_had() -> None:
    needless = Server("cache", "cache@redis", "redis", problem="cache: no URL given; set CACHE_URL", needless=True)
    broken = Server("promptads", "promptads@sqlserver", "sqlserver", problem="it did not start")
    warning = only(machine(), servers=(SALES, needless))
    assert (warning.level, warning.machines) == (Level.warning, ())
    assert warning.text == "cache: no URL given; set CACHE_URL; cases that need it are skipped"
    assert only(machine(), servers=(SALES, broken)).level is Level.problem
    none, *_ = judge([machine(databases=())], [needless])
    assert (none.level, none.text) == (Level.problem, "not one database can be had")


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("postgresql://ana:12%2Fcr%23t@db.example/x", [("db.example", 5432)]),
        ("postgresql://ana:se@cr@t@[fd00::1]:5433/x", [("fd00::1", 5433)]),
        ("postgresql://ana:12/cr#t@db.example/x", None),
        ("mongodb://u:p@a,b:27018/?replicaSet=rs", [("a", 27017), ("b", 27018)]),
        ("mongodb+srv://u:p@cluster.example/", []),
        ("redis://:p@127.0.0.1/0", [("127.0.0.1", 6379)]),
        ("mssql://sa:p@db%5CINST/master", [("db", 1433)]),
        ("postgresql://u:p@db:port/x", None),
        ("redis://[bad/0", None),
    ],
)
def test_where_a_server_is_or_that_its_url_cannot_be_read(url: str, places: list[tuple[str, int]] | None) -> None:
    logical = {"mongodb": "promptcontent", "redis": "cache", "mssql": "promptads"}.get(
        re.split(r"[:+]", url)[0], "promptsales"
    )
    (spec,) = host_specs(["popen"])
    visit, target = Visit(spec, "test"), make_target(logical, url, "external")
    if places is not None:
        assert visit._places(target) == places
        return
    reach = visit._reach(target)
    assert (reach.state, reach.host, reach.port) == (State.failed, "", 0)
    assert reach.said.startswith("its URL cannot be taken apart; write special characters of its password as %XX")


# -- how it is said


def shown(examination: Examination) -> str:
    console = Console(width=110, force_terminal=False, no_color=True)
    with console.capture() as captured:
        console.print(table(examination))
    return captured.get()


def test_the_table_has_a_column_for_each_machine() -> None:
    off = Machine("pc2", problem="pc2: off")
    bare = machine("pc3", drivers=(Driver("postgresql", problem="psycopg is not installed", pip="psycopg[binary]"),))
    bare = replace(bare, databases=(Reach("promptsales", State.no_driver),), clock=replace(FINE, offset=-5, median=0.1))
    lost = Server("cache", "cache@redis", "redis", problem="no URL given", needless=True)
    machines = (machine(HERE), machine(), off, bare)
    text = shown(Examination(machines, (SALES, lost), judge(machines, (SALES, lost))))
    assert re.search(r"here +pc1 +pc2 +pc3", text)
    assert re.search(r"machine +here +pc1 +✗ not reached +pc3", text)
    assert re.search(r"Python +✓ 3\.11\.2 +✓ 3\.11\.2 +– +✓ 3\.11\.2", text)
    assert re.search(r"clock +the reference +✓ \+1\.0 ms ± 0\.1 ms +– +! -5\.000 s ± 0\.1 ms", text)
    assert re.search(r"PostgreSQL's driver +✓ psycopg 3\.2\.3 +✓ psycopg 3\.2\.3 +– +✗ missing", text)
    assert re.search(r"promptsales@postgresql +✓ logs in +✓ logs in +– +✗ not tried", text)
    assert re.search(r"cache@redis +! not there +! not there +! not there", text)


def test_what_machines_say_paints_nothing() -> None:
    bad = machine(
        "pc1", hostname="\x1b[31mred\nline", problem="pc1: \x1b[2J gone", drivers=(Driver("postgresql", "\x07"),)
    )
    found = Examination((bad,), (SALES,), judge([bad], [SALES]))
    text = shown(found) + "\n".join(lines(found))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "✗ pc1: �[2J gone" in text


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([], "ready"),
        ([Level.warning], "ready, with 1 warning"),
        ([Level.problem], "not ready: 1 problem"),
        ([Level.problem, Level.problem, Level.warning], "not ready: 2 problems and 1 warning"),
    ],
)
def test_the_last_line_says_whether_a_run_can_begin(levels: list[Level], said: str) -> None:
    found = Examination((), (), tuple(Finding(level, (), "x") for level in levels))
    *others, last = lines(found)
    assert last == said
    assert [text[0] for text in others] == ["✗" if level is Level.problem else "!" for level in levels]
    assert found.ready == said.startswith("ready")


# -- the command


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh.install(tmp_path, monkeypatch)


def test_this_machine_alone(cli: Run, url: str) -> None:
    done = cli("doctor", "--servers", "external")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"promptsales@postgresql +✓ logs in", done.stdout)
    assert "clock" not in done.stdout
    assert "! cache: no URL given; set CACHE_URL; cases that need it are skipped" in done.stdout
    assert done.stdout.splitlines()[-1] == "ready, with 4 warnings"


def test_machines_that_cannot_be_reached_each_in_its_way(cli: Run, ssh: None) -> None:
    names = ("off1", "locked1", "strange1", "chatty1")
    done = cli("doctor", "--servers", "external", *(word for name in names for word in ("--tx", f"ssh={name}")))
    assert (done.returncode, done.stderr) == (1, "")
    told = {text.split(":")[0].removeprefix("✗ "): text for text in done.stdout.splitlines() if text[:1] == "✗"}
    assert set(told) == set(names)
    assert "Connection timed out; is it on" in told["off1"]
    assert "Permission denied (publickey).; put your public key" in told["locked1"]
    assert "Host key verification failed.; log in there once by hand" in told["strange1"]
    assert "something there writes before Python does" in told["chatty1"]
    assert "not ready: 4 problems" in done.stdout


def test_json_is_all_that_is_printed(cli: Run, ssh: None, url: str) -> None:
    password = url.split(":")[2].split("@")[0]
    done = cli("doctor", "--json", "--servers", "external", "--tx", "popen", "--tx", "ssh=off1", "--tx", "popen")
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert password not in done.stdout
    assert told["ready"] is False
    assert [one["name"] for one in told["machines"]] == [HERE, "popen", "off1", "popen-2"]
    _, popen, off, _ = told["machines"]
    assert popen["databases"] == [
        {"logical": "promptsales", "state": "ok", "host": "127.0.0.1", "port": int(url.split(":")[3].split("/")[0]),
         "source": "127.0.0.1", "said": ""}
    ]  # fmt: skip
    assert popen["drivers"][0]["driver"].startswith("psycopg 3.")
    assert set(popen["clock"]) == {"offset", "error", "round_trip", "median"}
    assert off["problem"].startswith("off1 cannot be reached: ")
    assert (off["clock"], off["databases"]) == (None, [])
    assert [one["logical"] for one in told["servers"]] == list(VARIABLE)
    assert told["servers"][0]["public"] == url.replace(password, "***")
    assert [(one["level"], one["machines"]) for one in told["findings"]] == [
        ("problem", ["off1"]),
        *[("warning", [])] * 4,
        ("warning", ["popen", "popen-2"]),
    ]


def test_a_wrong_password_is_told_and_not_printed(cli: Run, url: str) -> None:
    wrong = re.sub(r":[^:@/]+@", ":hunter22@", url)
    for more in ((), ("--json",)):
        done = cli("doctor", "--servers", "external", "--tx", "popen", *more, PROMPTSALES_URL=wrong)
        assert done.returncode == 1
        assert "hunter22" not in done.stdout + done.stderr
        assert "password authentication failed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tx", "socket=pc1:8888"), "--tx socket=pc1:8888: a socket is neither encrypted"),
        (("--tx", "ssh=ana:hunter22@pc1"), "a --tx has a password in it"),
        (("--servers", "bogus"), "unknown kind of servers 'bogus'"),
    ],
)
def test_what_cannot_be_asked_is_one_line(cli: Run, arguments: tuple[str, ...], said: str) -> None:
    text = one_line(cli("doctor", *arguments), 3)
    assert text.startswith(f"harness: {said}")
    assert "hunter22" not in text


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal")
@pytest.mark.parametrize("to_all", [False, True], ids=["to it alone", "as a terminal does"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, ssh: None, to_all: bool) -> None:
    """It is broken off while servers run and agents wait for one that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.cli", "doctor", "--tx", "ssh=pc1", "--tx", "popen"],
            cwd=tmp_path,
            env=environment(CACHE_URL=f"redis://:hunter22@127.0.0.1:{silent.getsockname()[1]}/0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=hears_ctrl_c,
        )
        heard = [silent.accept()[0] for _ in range(4)]  # here and popen: each asks for the port, then for a log-in
        seen = psutil.Process(process.pid).children(recursive=True)
        (folder,) = {
            match[0] for child in seen if (match := re.search(r"\S+/run-doctor\w+", " ".join(child.cmdline())))
        }
        assert sum("stdin.readline" in " ".join(child.cmdline()) for child in seen) >= 3  # agents
        os.killpg(process.pid, signal.SIGINT) if to_all else process.send_signal(signal.SIGINT)
        printed = "".join(process.communicate(timeout=30))
        for one in heard:
            one.close()
    assert process.returncode == 130
    assert "Traceback" not in printed
    eventually(lambda: not [child for child in seen if child.is_running()], "a process is left")
    assert not Path(folder).exists()
