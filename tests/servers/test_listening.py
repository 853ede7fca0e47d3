"""Servers that other machines may reach: 127.0.0.2 is another address of this one, and clients come from where they like."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pymongo
import pymongo.errors
import pytest
import redis

from harness.errors import ServerError
from harness.servers import kept, open_servers, processes
from harness.servers.base import LOGICAL
from harness.servers.containers import ContainerServers
from harness.servers.embedded import EmbeddedServers, embedded_servers
from harness.servers.listening import NOWHERE, Listening, is_here, resolve, tell, tidy, told
from harness.servers.login import log_in
from harness.servers.runfolder import Record, RunFolder

from .conftest import PROJECT, Script, new_run_id

OTHER, CLIENT, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
NETWORK, NEIGHBOUR = "127.0.0.8/30", "127.0.0.9"
NOT_OURS = "192.0.2.1"  # for documentation: nobody has it (RFC 5737)

several = pytest.mark.skipif(not is_here(OTHER), reason="this system has only one loopback address")


# -- what one may say


@pytest.mark.parametrize(
    ("listen", "allow", "environ", "meant"),
    [
        ([], [], {}, NOWHERE),
        (["127.0.0.1"], ["10.0.0.2"], {}, NOWHERE),
        (["127.0.0.1,::1"], ["10.0.0.2, 10.1.0.0/16", "10.0.0.2"], {}, (("::1",), ("10.0.0.2/32", "10.1.0.0/16"))),
        (["::1"], ["fd00:0::2", "::ffff:10.0.0.2"], {}, (("::1",), ("fd00::2/128", "10.0.0.2/32"))),
        ([], [], {"PROMPTSALES_LISTEN": "::1", "PROMPTSALES_ALLOW": "10.0.0.2,fd00::/8"},
         (("::1",), ("10.0.0.2/32", "fd00::/8"))),
        (["::1"], [], {"PROMPTSALES_LISTEN": NOT_OURS, "PROMPTSALES_ALLOW": "10.0.0.3"}, (("::1",), ("10.0.0.3/32",))),
        ([], ["10.0.0.3"], {"PROMPTSALES_LISTEN": "::1"}, (("::1",), ("10.0.0.3/32",))),
        ([], [], {"PROMPTSALES_ALLOW": "10.0.0.3"}, NOWHERE),
    ],
)  # fmt: skip
@pytest.mark.skipif(not is_here("::1"), reason="no IPv6 here")
def test_the_command_line_goes_before_the_environment(
    listen: list[str], allow: list[str], environ: dict[str, str], meant: Any
) -> None:
    assert resolve(listen, allow, environ) == (meant if isinstance(meant, Listening) else Listening(*meant))


@pytest.mark.parametrize(
    ("listen", "allow", "environ", "words"),
    [
        (["pc0"], ["10.0.0.2"], {}, "--listen pc0: this is not an IP address (this machine has "),
        (["0.0.0.0"], ["10.0.0.2"], {}, "--listen 0.0.0.0: this is every address; name the one "),
        (["::"], ["10.0.0.2"], {}, "--listen ::: this is every address; name the one "),
        (["fe80::1%eth0"], ["10.0.0.2"], {}, "--listen fe80::1%eth0: an address with a zone is not the same "),
        ([NOT_OURS], ["10.0.0.2"], {}, "--listen 192.0.2.1: this is no address of this machine (this machine has "),
        ([OTHER], [], {}, "--listen 127.0.0.2: say who may connect there: --allow 10.0.0.2, or a network: 10.0.0.0/24"),
        ([OTHER], ["pc1"], {}, "--allow pc1: this is neither a client's IP address nor a network like 10.0.0.0/24"),
        ([OTHER], ["10.0.0.5/24"], {}, "--allow 10.0.0.5/24: this is neither "),
        ([OTHER], ["fe80::1%eth0"], {}, "--allow fe80::1%eth0: this is neither "),
        ([OTHER], ["fe80::%eth0/64"], {}, "--allow fe80::%eth0/64: this is neither "),
        ([], ["10.0.0.2"], {}, "--allow says who may connect; say where, too: --listen ADDRESS (this machine has "),
        ([], [], {"PROMPTSALES_LISTEN": OTHER},
         "PROMPTSALES_LISTEN 127.0.0.2: say who may connect there: PROMPTSALES_ALLOW: "),
        ([], [], {"PROMPTSALES_LISTEN": NOT_OURS, "PROMPTSALES_ALLOW": "10.0.0.2"},
         "PROMPTSALES_LISTEN 192.0.2.1: this is no "),
        ([], [], {"PROMPTSALES_LISTEN": OTHER, "PROMPTSALES_ALLOW": "x"}, "PROMPTSALES_ALLOW x: this is neither "),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_one_line(listen: list[str], allow: list[str], environ: dict[str, str], words: str) -> None:
    with pytest.raises(ServerError) as caught:
        resolve(listen, allow, environ)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_what_a_run_finds_out_is_taken_as_far_as_it_goes() -> None:
    assert tidy(["nonsense", "127.0.0.1", "10.0.0.1", "10.0.0.1"], ["10.0.0.2", "pc1", "fe80::1%eth0"]) == Listening(
        ("10.0.0.1",), ("10.0.0.2/32",)
    )
    assert tidy(["10.0.0.1"], ["pc1"]) == NOWHERE  # open to nobody is not open
    assert tidy([], ["10.0.0.2"]) == NOWHERE


def test_a_set_remembers_all_that_it_was_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert told(folder) == NOWHERE
    tell(folder, Listening(("10.0.0.1",), ("10.0.0.2/32",)))
    tell(folder, Listening(("10.1.0.1", "10.0.0.1"), ("10.1.0.2/32",)))
    both = Listening(("10.0.0.1", "10.1.0.1"), ("10.0.0.2/32", "10.1.0.2/32"))
    assert told(RunFolder(tmp_path)) == both
    assert both.covers(Listening(("10.1.0.1",), ("10.0.0.2/32",)))
    assert not both.covers(Listening(("10.1.0.1",), ("10.0.0.3/32",)))


@several
def test_a_port_is_free_on_all_addresses() -> None:
    with socket.create_server((OTHER, 0)) as taken:
        port = processes.free_port(("127.0.0.1", OTHER))
        assert port not in (0, taken.getsockname()[1])
        for address in ("127.0.0.1", OTHER):
            socket.create_server((address, port)).close()


# -- what the servers do

START = """
import sys
from harness.servers.embedded import embedded_servers
servers = embedded_servers(sys.argv[1], int(sys.argv[2]))
servers.prefetch(sys.argv[3:])
for logical in sys.argv[3:]:
    target = servers.target(logical)
    print(target.reach, *target.addresses)
"""


def run(servers: EmbeddedServers) -> str:
    return servers.folder.path.name.removeprefix("run-")


@pytest.fixture(scope="module")
def reached() -> Iterator[EmbeddedServers]:
    """Servers that were told in this process, and all but one started in another, which must know."""
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        servers.listen([OTHER, NOT_OURS], [CLIENT])
        starter = Script(START, run(servers), os.getpid(), "promptads", "cache", "promptcontent")
        assert starter.output().splitlines() == [f"network {OTHER}"] * 3
        servers.listen([OTHER], [NETWORK])
        servers.target("promptcrm")
        yield servers
    finally:
        servers.stop()


def knock(source: str, url: str) -> str:
    """What PostgreSQL answers, at its other address, to somebody from ``source`` who wants to log in."""
    parts = urlsplit(url)
    words = ["user", parts.username, "database", parts.path.strip("/")]
    body = struct.pack("!i", 3 << 16) + b"".join(f"{word}\0".encode() for word in words) + b"\0"
    with socket.create_connection((OTHER, parts.port or 0), timeout=10, source_address=(source, 0)) as connection:
        connection.sendall(struct.pack("!i", len(body) + 4) + body)
        with connection.makefile("rb") as answer:
            kind, length = struct.unpack("!ci", answer.read(5))
            return str((kind + answer.read(length - 4)).decode().replace("\0", " "))


@contextlib.contextmanager
def coming_from(source: str, url: str) -> Iterator[str]:
    """A URL that leads to the server's other address, and there one seems to come from ``source``.

    A driver cannot choose where it comes from, so what it says goes through a socket that can.
    """
    parts = urlsplit(url)

    def pass_on(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while heard := one.recv(1 << 16):
                other.sendall(heard)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(door: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as ends, ThreadPoolExecutor() as pool:
            while True:  # until the door is shut
                inner = ends.enter_context(door.accept()[0])
                to = (OTHER, parts.port or 0)
                outer = ends.enter_context(socket.create_connection(to, source_address=(source, 0)))
                pool.submit(pass_on, inner, outer)
                pool.submit(pass_on, outer, inner)

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve, args=(door,), daemon=True)
        thread.start()
        try:
            yield url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{door.getsockname()[1]}")
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)


def at_other(url: str) -> str:
    return url.replace("127.0.0.1", OTHER)


@several
def test_postgresql_lets_in_who_may_from_there_and_nobody_else(reached: EmbeddedServers) -> None:
    url = reached.target("promptads").url
    asked = "SELECT host(inet_client_addr()), host(inet_server_addr())"
    with coming_from(CLIENT, url) as theirs, psycopg.connect(theirs) as there, psycopg.connect(url) as here:
        assert there.execute(asked).fetchone() == (CLIENT, OTHER)
        assert here.execute(asked).fetchone() == ("127.0.0.1", "127.0.0.1")
    with (
        coming_from(STRANGER, url) as theirs,
        pytest.raises(psycopg.OperationalError, match=f'no pg_hba.conf entry for host "{STRANGER}"'),
    ):
        psycopg.connect(theirs)
    refusal = knock(STRANGER, url)
    assert refusal.startswith("E")
    assert f'no pg_hba.conf entry for host "{STRANGER}", user "harness", database "promptads"' in refusal
    with (
        coming_from(CLIENT, url) as theirs,
        pytest.raises(psycopg.OperationalError, match="password authentication failed"),
    ):
        psycopg.connect(theirs, password="wrong")


@several
def test_what_is_told_later_holds_for_servers_that_are_started_later(reached: EmbeddedServers) -> None:
    ads, crm = reached.target("promptads").url, reached.target("promptcrm").url
    assert "no pg_hba.conf entry" in knock(NEIGHBOUR, ads)
    assert "SCRAM-SHA-256" in knock(NEIGHBOUR, crm)
    assert "SCRAM-SHA-256" in knock(CLIENT, crm)
    assert "no pg_hba.conf entry" in knock(STRANGER, crm)


@several
def test_one_rule_for_each_client_and_nothing_wider(reached: EmbeddedServers) -> None:
    for server, logical, clients in (
        ("pg1", "promptads", [f"{CLIENT}/32"]),
        ("pg2", "promptcrm", [f"{CLIENT}/32", NETWORK]),
    ):
        with psycopg.connect(reached.target(logical).url) as connection:
            asked = "SELECT address, netmask, auth_method FROM pg_hba_file_rules WHERE 'all' = ANY (database)"
            rules = {(address, mask): way for address, mask, way in connection.execute(asked) if address}
        one = "255.255.255.255"
        expected = {("127.0.0.1", one), ("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), (OTHER, one), (CLIENT, one)}
        assert set(rules) == expected | ({("127.0.0.8", "255.255.255.252")} if server == "pg2" else set())
        assert set(rules.values()) == {"scram-sha-256"}
        text = (reached.folder.path / server / "data" / "pg_hba.conf").read_text("ascii")
        assert text.splitlines()[-len(clients) :] == [f"host all all {client} scram-sha-256" for client in clients]


@several
def test_valkey_is_reached_with_its_password_only(reached: EmbeddedServers) -> None:
    url = at_other(reached.target("cache").url)
    log_in(url)
    login, _, rest = url.partition("@")
    with pytest.raises(redis.AuthenticationError, match="must be called with the client already authenticated"):
        log_in(f"redis://{rest}")
    with pytest.raises(redis.AuthenticationError, match="invalid"):
        log_in(f"{login}x@{rest}")


@several
def test_the_mongodb_stand_in_asks_for_a_password_where_others_reach_it(reached: EmbeddedServers) -> None:
    target = reached.target("promptcontent")
    parts = urlsplit(target.url)
    assert (parts.hostname, target.public.count("***"), target.stand_in) == (OTHER, 1, "mongodb")
    with pymongo.MongoClient[dict[str, Any]](target.url) as client:
        with client.start_session() as session, session.start_transaction():
            client.db.things.insert_one({"a": 1}, session=session)
        assert client.db.things.count_documents({}) == 1
        client.drop_database("db")
    for login, code in (("", 13), ("harness:wrong@", 18)):  # Unauthorized, AuthenticationFailed
        url = f"mongodb://{login}{OTHER}:{parts.port}/?directConnection=true"
        with (
            pymongo.MongoClient[dict[str, Any]](url) as client,
            pytest.raises(pymongo.errors.OperationFailure) as caught,
        ):
            client.db.things.insert_one({"a": 1})
        assert caught.value.code == code


def listens(servers: EmbeddedServers) -> dict[str, set[str]]:
    """The addresses on which each server and its children take connections, whatever they say of themselves."""
    found: dict[str, set[str]] = {}
    for record in servers.folder.records():
        process = psutil.Process(record.pid)
        for one in (process, *process.children(recursive=True)):
            connections = []
            with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL has children that soon end
                connections = one.net_connections("all" if os.name == "posix" else "inet")
            for connection in connections:
                if connection.status == psutil.CONN_LISTEN:
                    found.setdefault(record.server, set()).add(connection.laddr.ip)
    return found


@several
def test_nothing_listens_on_all_addresses(reached: EmbeddedServers) -> None:
    both = {"127.0.0.1", OTHER}
    assert listens(reached) == {"pg1": both, "pg2": both, "valkey": both, "secantus": {OTHER}}


def test_nothing_listens_elsewhere_unless_told(embedded: EmbeddedServers) -> None:
    embedded.prefetch(LOGICAL)
    assert listens(embedded) == {server: {"127.0.0.1"} for server in ("pg1", "pg2", "valkey", "secantus")}
    for logical in LOGICAL:
        target = embedded.target(logical)
        assert (target.reach, target.addresses) == ("loopback", ())
        assert "127.0.0.1" in target.url


@several
def test_a_target_says_who_can_get_there(reached: EmbeddedServers, embedded: EmbeddedServers) -> None:
    for logical in LOGICAL:
        assert reached.target(logical).out_of_reach(OTHER) == ""
        assert reached.target(logical).addresses == (OTHER,)
    for same_machine in ("127.0.0.1", "127.0.1.1", "::1"):
        assert reached.target("cache").out_of_reach(same_machine) == ""
    assert reached.target("cache").out_of_reach("10.0.0.1") == (
        "cache@redis: its server is reached at 127.0.0.2 only; set PROMPTSALES_LISTEN=10.0.0.1 and "
        "PROMPTSALES_ALLOW=CLIENT"
    )
    assert (
        embedded.target("cache")
        .out_of_reach("10.0.0.1")
        .startswith("cache@redis: its server listens on 127.0.0.1 only; set PROMPTSALES_LISTEN=10.0.0.1")
    )


def test_telling_never_raises(private_tmp: Path) -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    servers.listen(["nonsense"], ["10.0.0.2"])
    assert list(private_tmp.iterdir()) == []
    over = embedded_servers(new_run_id(), 2**22 + 1)  # no process has this pid, so nobody's run it is
    over.listen([NOT_OURS], ["10.0.0.2"])
    assert told(over.folder) == NOWHERE
    try:
        servers.listen([NOT_OURS], ["10.0.0.2"])
        assert servers.target("cache").reach == "loopback"
    finally:
        servers.stop()


@several
def test_the_environment_tells_a_run(private_tmp: Path) -> None:
    environ = {"PROMPTSALES_LISTEN": OTHER, "PROMPTSALES_ALLOW": CLIENT}

    def opened(environ: dict[str, str]) -> Any:
        return open_servers(None, run_id=new_run_id(), owner_pid=os.getpid(), root=private_tmp, environ=environ)

    servers = opened(environ)
    try:
        target = servers.target("cache")
        assert (target.reach, target.addresses) == ("network", (OTHER,))
        log_in(at_other(target.url))
    finally:
        servers.stop()
    with pytest.raises(ServerError, match=r"PROMPTSALES_LISTEN 127\.0\.0\.2: say who may connect there"):
        opened({"PROMPTSALES_LISTEN": OTHER})


def test_containers_and_urls_have_nothing_to_tell(tmp_path: Path) -> None:
    containers = ContainerServers(RunFolder(tmp_path / "set"), {})
    containers.listen([OTHER], [CLIENT])
    assert not containers.folder.path.exists()
    record = Record("redis", container="abc", urls={"cache": "redis://:x@localhost:1/0"})
    target = containers.place("cache", record, "containers")
    assert (target.reach, target.out_of_reach("10.0.0.1")) == ("network", "")

    given = open_servers(
        "external", run_id=new_run_id(), owner_pid=1, root=tmp_path, environ={"CACHE_URL": "redis://:x@localhost/0"}
    )
    given.listen([OTHER], [CLIENT])
    assert given.target("cache").out_of_reach("10.0.0.1") == (
        "cache@redis: its URL says a loopback address, which is another machine there; write 10.0.0.1 in it"
    )


# -- servers that stay


@pytest.fixture
def root(private_tmp: Path) -> Iterator[Path]:
    folder = private_tmp / "project"
    folder.mkdir()
    yield folder
    kept.down(folder)


@pytest.fixture
def harness(root: Path) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("PROMPT") and key != "CACHE_URL"}
        env |= {"TMPDIR": str(root.parent), "PYTHONPATH": str(PROJECT)}
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", *words],
            cwd=root,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return call


@several
def test_kept_servers_say_where_they_listen_and_the_set_remembers(
    root: Path, harness: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = harness("up", "cache", "--listen", OTHER, "--allow", CLIENT, "--allow", NETWORK)
    assert code == 0
    assert out.strip().endswith(f"  (from other machines: {OTHER})")
    assert harness("status")[1].splitlines()[LOGICAL.index("cache")] == out.strip()

    place = kept.find(root)["cache"]
    assert (place.reach, place.addresses, place.origin) == ("network", (OTHER,), "up")
    log_in(at_other(place.url))
    servers = open_servers(None, run_id=new_run_id(), owner_pid=os.getpid(), root=root, environ={})
    servers.listen(["10.0.0.1"], [CLIENT])  # it runs already
    assert servers.target("cache") == place
    assert place.out_of_reach("10.0.0.1") == (
        "cache@redis: its server is reached at 127.0.0.2 only; 'harness down', then "
        "'harness up --listen 10.0.0.1 --allow CLIENT'"
    )

    again, ads = kept.up(root, logicals=["cache", "promptads"], environ={}, listen=[OTHER], allow=[CLIENT])
    assert again.target == place
    assert ads.target is not None
    assert (ads.target.addresses, ads.target.origin) == ((OTHER,), "up")
    assert "SCRAM-SHA-256" in knock(NEIGHBOUR, ads.target.url)  # as the set was told first
    with pytest.raises(ServerError) as caught:
        kept.up(root, logicals=["cache"], environ={}, listen=[OTHER], allow=[STRANGER])
    assert str(caught.value) == (
        "pg1, valkey: up already, and not told to listen on 127.0.0.2 for 127.0.0.4/32; take the set down first: "
        "harness down"
    )


@several
def test_servers_that_are_up_do_not_begin_to_listen(root: Path) -> None:
    (place,) = kept.up(root, logicals=["cache"], environ={})
    assert place.target is not None
    assert (place.target.reach, place.target.addresses) == ("loopback", ())
    with pytest.raises(ServerError, match=r"valkey: up already, and not told to listen on 127\.0\.0\.2"):
        kept.up(root, logicals=["cache"], environ={"PROMPTSALES_LISTEN": OTHER, "PROMPTSALES_ALLOW": CLIENT})
    assert kept.find(root)["cache"] == place.target


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", OTHER], "--listen 127.0.0.2: say who may connect there: --allow 10.0.0.2, or a network: "),
        (["--allow", CLIENT], "--allow says who may connect; say where, too: --listen ADDRESS ("),
        (["--listen", NOT_OURS, "--allow", CLIENT], "--listen 192.0.2.1: this is no address of this machine ("),
        (["--servers", "containers", "--listen", OTHER], "--listen and --allow are for embedded servers: Docker "),
    ],
    ids=["nobody", "nowhere", "not-ours", "containers"],
)
def test_up_refuses_in_one_line(
    root: Path, harness: Callable[..., tuple[int, str, str]], words: list[str], said: str
) -> None:
    code, out, error = harness("up", "cache", *words)
    assert (code, out) == (3, "")
    assert error.startswith(f"harness: {said}")
    assert error.count("\n") == 1
    assert not (root / kept.FOLDER).exists()


def test_what_is_remembered_is_for_us_alone(tmp_path: Path) -> None:
    tell(RunFolder(tmp_path), Listening((OTHER,), (f"{CLIENT}/32",)))
    (file,) = tmp_path.glob("*.json")
    assert json.loads(file.read_text()) == {"addresses": [OTHER], "clients": [f"{CLIENT}/32"]}
    assert file.stat().st_mode & 0o077 == 0
