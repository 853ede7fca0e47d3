"""Migrations on servers of their own (logins are a whole server's): what each login may do afterwards, and what not."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis
from polling import eventually

from fixtures.seed.run import Place
from harness.errors import DataError, ServerError, ServerUnavailable
from harness.kubernetes.parts import COMPONENTS
from harness.mcp.opening import Settings, opened
from harness.migrating import record
from harness.migrating.files import read_logins
from harness.migrating.migrate import lacking, migrate
from harness.migrating.postgresql import said
from harness.runner.databases import data_url
from harness.servers import kept
from harness.servers.base import Target
from harness.servers.roles import with_login
from harness.servers.urls import VARIABLE
from harness.sso.serve import entered
from harness.vocabulary import LOGICAL

PASSWORD = "only-for-a-test-4711"
TABLE = {"promptsales": "campaign", "promptads": "campaign", "promptcrm": "client"}
COMMAND = [sys.executable, "-c", "from harness.cli import main; main()"]


@dataclass
class There:
    """Servers of this module, and a folder of the logins that are wanted."""

    root: Path
    own: dict[str, Target]

    @property
    def logins(self) -> Path:
        return self.root / "logins"

    @property
    def places(self) -> dict[str, Place]:
        return {name: Place(one.engine, data_url(one)) for name, one in self.own.items()}

    def want(self, password: str = PASSWORD) -> None:
        for name, component in COMPONENTS.items():
            for logical, user in component.logins.items() if name != "owner" else ():
                folder = self.logins / name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / VARIABLE[logical]).write_text(with_login(self.places[logical].url, user, password), "utf-8")

    def migrate(self) -> list[str]:
        told: list[str] = []
        migrate(self.places, read_logins(self.logins), tell=told.append)
        return told

    def url(self, component: str, logical: str) -> str:
        return (self.logins / component / VARIABLE[logical]).read_text("utf-8")

    def targets(self, component: str) -> dict[str, Target]:
        users = COMPONENTS[component].logins
        return {
            name: Target(name, one.engine, self.url(component, name), one.stand_in)
            for name, one in self.own.items()
            if name in users and one.engine != "mongodb"
        } | {name: one for name, one in self.own.items() if one.engine == "mongodb"}

    def can(self, component: str, logical: str, statement: str) -> bool:
        with psycopg.connect(self.url(component, logical), autocommit=True) as link:
            try:
                link.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return False
            return True


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    root = tmp_path_factory.mktemp("migrating")
    try:
        entries = kept.up(root, logicals=LOGICAL, mode="embedded", progress=lambda text: None)
        if missing := [f"{one.logical}: {one.problem}" for one in entries if one.target is None]:
            pytest.skip("; ".join(missing))
        found = There(root, {one.logical: one.target for one in entries if one.target})
        found.want()
        found.migrate()
        yield found
    finally:
        kept.down(root, progress=lambda text: None)


def test_everything_is_there_and_remembered(there: There) -> None:
    assert lacking(there.own, there.own["promptsales"].url) == []
    assert record.ask(there.own["promptsales"].url).keys() == set(LOGICAL)


STATE = (
    "SELECT rolname, rolcanlogin, rolcreaterole, rolcreatedb FROM pg_roles ORDER BY 1",
    "SELECT roleid, member, admin_option, inherit_option, set_option FROM pg_auth_members ORDER BY 1, 2",
    "SELECT oid, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT * FROM migrating.migration ORDER BY 1",
)


def state(there: There) -> list[object]:
    with psycopg.connect(there.places["promptsales"].url) as link:
        return [link.execute(statement).fetchall() for statement in STATE]


def test_a_second_time_changes_nothing(there: There) -> None:
    before = state(there)
    there.migrate()
    assert state(there) == before


def test_several_at_once(there: There) -> None:
    before = state(there)
    problems: list[BaseException] = []

    def run() -> None:
        try:
            there.migrate()
        except BaseException as problem:  # noqa: BLE001 - whatever it is, the test says it
            problems.append(problem)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert problems == []
    assert state(there) == before


def test_a_new_password_works_and_the_old_one_does_not(there: There) -> None:
    old = there.url("load", "promptcrm"), there.url("load", "cache")
    try:
        there.want(PASSWORD + "-new")
        there.migrate()
        psycopg.connect(there.url("load", "promptcrm")).close()
        assert redis.Redis.from_url(there.url("load", "cache")).ping()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(old[0])
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(old[1]).ping()
    finally:
        there.want()
        there.migrate()


@pytest.mark.parametrize("component", [one for one in COMPONENTS if one not in ("owner", "load", "link")])
def test_whoever_has_no_business_with_clients_does_not_read_them(there: There, component: str) -> None:
    merges = {"promptsales"} if component == "etl" else set()
    for logical in COMPONENTS[component].logins.keys() & {"promptcrm", "promptsales"} - merges:
        assert not there.can(component, logical, "SELECT name FROM public.client")


@pytest.mark.parametrize("component", [one for one in COMPONENTS if one != "owner"])
def test_nobody_makes_tables_or_becomes_more(there: There, component: str) -> None:
    for logical in COMPONENTS[component].logins.keys() & {"promptsales", "promptads", "promptcrm"}:
        user = COMPONENTS[component].logins[logical]
        assert not there.can(component, logical, "CREATE TABLE public.mine (id int)")
        assert not there.can(component, logical, f"DROP TABLE public.{TABLE[logical]}")
        assert not there.can(component, logical, f"ALTER ROLE {user} SUPERUSER")
        assert not there.can(component, logical, "SELECT pg_read_file('postgresql.conf')")
        if component != "mcp":
            assert not there.can(component, logical, "CREATE ROLE mine LOGIN")
        if component != "harness":
            assert not there.can(component, logical, "CREATE DATABASE mine")


def test_rights_that_somebody_gave_meanwhile_go(there: There) -> None:
    ask = "SELECT token_hash FROM public.sso_session"
    with psycopg.connect(there.places["promptsales"].url, autocommit=True) as link:
        link.execute("GRANT SELECT ON sso_session TO promptsales_load_login, promptsales_mcp_login")
        link.execute("GRANT USAGE ON SCHEMA public TO promptsales_mcp_login")
    assert there.can("load", "promptsales", ask)
    assert there.can("mcp", "promptsales", ask)
    there.migrate()
    assert not there.can("load", "promptsales", ask)
    assert not there.can("mcp", "promptsales", ask)


def test_the_etl_reads_changes_and_no_table(there: There) -> None:
    assert there.can("etl", "promptcrm", "SELECT * FROM changes_since(NULL, NULL) LIMIT 1")
    assert not there.can("etl", "promptcrm", "SELECT * FROM sale")
    cache = redis.Redis.from_url(there.url("etl", "cache"))
    assert cache.xrange("activity") == []
    with pytest.raises(redis.exceptions.NoPermissionError):
        cache.get("campaign:1")
    with pytest.raises(redis.exceptions.NoPermissionError):
        cache.xadd("activity", {"a": "b"})


def test_the_other_server_reads_what_it_is_linked_for(there: There) -> None:
    assert there.can("link", "promptads", "SELECT budget FROM campaign")
    assert not there.can("link", "promptads", "SELECT * FROM ad")
    assert there.can("link", "promptcrm", "SELECT id, name FROM client")
    assert not there.can("link", "promptcrm", "SELECT * FROM client")  # the ciphers
    for logical, table in (("promptcrm", "ads.campaign"), ("promptads", "crm.client")):
        with psycopg.connect(there.places[logical].url) as link:
            assert link.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_load_writes_rows(there: There) -> None:
    """What its users do, and nothing else: it cannot forge sessions, nor read ciphers, nor touch a log."""
    with psycopg.connect(there.url("load", "promptcrm")) as link, pytest.raises(psycopg.Error, match="has no sale"):
        link.execute("SELECT * FROM register_sales(ARRAY[]::sale_row[], ARRAY[]::sale_line_row[])")
    assert there.can("load", "promptads", "UPDATE budget SET amount = amount")
    assert there.can("load", "promptsales", "SELECT * FROM month_board")
    for logical, statement in (
        ("promptcrm", "SELECT * FROM client"),
        ("promptcrm", "UPDATE client SET name = name"),
        ("promptcrm", "SELECT * FROM changes_since(NULL, NULL)"),
        ("promptads", "DELETE FROM metric_day"),
        ("promptsales", "SELECT * FROM sso_session"),
        ("promptsales", "DELETE FROM ai_log"),
        ("promptsales", "SELECT purge_sessions('1 day')"),
    ):
        assert not there.can("load", logical, statement), statement


def test_the_harness_makes_and_drops_its_own(there: There) -> None:
    with psycopg.connect(there.url("harness", "promptsales"), autocommit=True) as link:
        link.execute("CREATE DATABASE psh_of_a_test")
        link.execute("DROP DATABASE psh_of_a_test")
        link.execute("SET deadlock_timeout = '10ms'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("DROP DATABASE promptsales")


def test_mcp_servers_make_their_own_logins_and_drop_them(there: There) -> None:
    """Who it makes may do what its role says; the maker itself, nothing but what those may."""

    def made() -> set[str]:
        with psycopg.connect(there.places["promptsales"].url) as link:
            return {name for (name,) in link.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'psh_mcp_%'")}

    names = ("promptads", "promptcrm", "promptsales", "cache")
    assert not there.can("mcp", "promptcrm", "SELECT * FROM public.client_card")
    with opened(names, there.targets("mcp"), {}, Settings()) as found:
        assert found.entered.notes == ()
        own = {(one.logical, one.group) for one in found.entered.own}
        assert {("promptcrm", "promptcrm_mcp"), ("promptcrm", "promptcrm_mcp_steward")} <= own
        target = next(target for one, target in found.entered.targets.items() if one.group == "promptcrm_mcp")
        with psycopg.connect(target.url, autocommit=True) as reader:
            reader.execute("SELECT * FROM client_card LIMIT 1")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("SELECT * FROM client")
        assert not there.can("mcp", "promptcrm", "SELECT * FROM public.sale_line")
        there.migrate()  # as after an update, while they serve
        with psycopg.connect(target.url, autocommit=True) as reader:
            reader.execute("SELECT * FROM client_card LIMIT 1")
        found.check()
        assert made()
    assert made() == set()


def test_the_issuer_has_a_login_of_its_own_or_the_urls(there: There) -> None:
    notes: list[str] = []
    with entered(there.targets("sso")["promptsales"], notes.append) as gate, psycopg.connect(gate.url) as link:
        link.execute("SELECT purge_sessions('1 day')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("SELECT * FROM sso_session")


# -- what goes wrong


def without_promptsales(there: There) -> dict[str, Place]:
    return {"promptads": there.places["promptads"]}


def test_without_promptsales_there_is_nothing_to_remember_in(there: There) -> None:
    with pytest.raises(ServerUnavailable, match="remembered there"):
        migrate(without_promptsales(there), ())


def test_another_versions_tables_are_left_alone(there: There) -> None:
    with psycopg.connect(there.places["promptsales"].url, autocommit=True) as link:
        digest = record.remembered(link)["promptads"]
        try:
            link.execute("UPDATE migrating.migration SET digest = 'older' WHERE logical = 'promptads'")
            assert lacking(there.own, there.own["promptsales"].url) == ["promptads"]
            with pytest.raises(DataError, match="promptads was made by another version"):
                there.migrate()
        finally:
            link.execute("UPDATE migrating.migration SET digest = %s WHERE logical = 'promptads'", [digest])


def broken(there: There, change: Callable[[Path], object], tmp_path: Path) -> str:
    folder = tmp_path / "logins"
    (folder / "load").mkdir(parents=True)
    file = folder / "load" / "PROMPTCRM_URL"
    file.write_text(there.url("load", "promptcrm"))
    change(file)
    with pytest.raises((DataError, ServerError)) as caught:
        read_logins(folder)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.parent.rename(file.parent.with_name("lod")), "did you mean 'load'"),
        (lambda file: file.parent.rename(file.parent.with_name("owner")), "no component 'owner'"),
        (
            lambda file: file.write_text(file.read_text().replace("promptsales_load_login", "harness")),
            "its user is 'harness'",
        ),
        (lambda file: file.write_text(re.sub(r":[^:/@]+@", ":short@", file.read_text())), "12 signs"),
        (lambda file: file.write_text("nothing"), "not a URL"),
        (lambda file: file.write_bytes(b"\xff"), "it is no text"),
    ],
)
def test_what_is_wrong_with_a_login_is_said(
    there: There, change: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    assert said in broken(there, change, tmp_path)


def test_an_error_quotes_no_statement_and_no_password(there: There) -> None:
    url = there.places["promptsales"].url
    with pytest.raises(DataError) as refused, said("promptsales", url), psycopg.connect(url) as link:
        link.execute("SELECT 'hidden' FROM nowhere")
    assert str(refused.value) == 'promptsales: relation "nowhere" does not exist'
    with pytest.raises(ServerError) as away, said("promptsales"):
        psycopg.connect("postgresql://ana:hidden@127.0.0.1:1/x")
    assert "hidden" not in str(away.value)
    assert "\n" not in str(away.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_logins(tmp_path / "none")


def test_a_superuser_is_not_made_less(there: There, tmp_path: Path) -> None:
    with psycopg.connect(there.places["promptsales"].url, autocommit=True) as link:
        link.execute("ALTER ROLE promptsales_sso_login SUPERUSER")
        try:
            with pytest.raises(DataError, match="is a superuser there"):
                there.migrate()
        finally:
            link.execute("ALTER ROLE promptsales_sso_login NOSUPERUSER")


# -- the command line


def command(there: There, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, cwd=there.root)


def test_the_commands(there: There) -> None:
    done = command(there, "migrate", "--logins", "logins")
    assert done.returncode == 0, done.stderr
    assert "promptcrm: sees promptads" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    assert command(there, "wait", "migrated", "--seconds", "0").returncode == 0
    assert command(there, "migrate", "--only", "promptads").returncode == 0
    assert command(there, "wait", "migrated", "promptads", "--seconds", "0").returncode == 0
    assert (
        command(there, "wait", "servers", "promptads", "cache", "--seconds", "0").stdout == "promptads, cache: ready\n"
    )


def test_a_part_of_the_clients(there: There) -> None:
    words = ("seed", "tiny", "--only", "promptcrm", "--clients", "1000", "--sources", "--parts", "3", "--workers", "1")
    done = subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, check=False, cwd=there.root, env=environment("1")
    )
    assert done.returncode == 0, done.stderr
    with psycopg.connect(there.places["promptcrm"].url) as link:
        assert link.execute("SELECT min(id), max(id), count(*) FROM client").fetchone() == (201, 600, 400)
    nothing = subprocess.run(
        [*COMMAND, "seed", "tiny", "--only", "promptcrm", "--clients", "1000", "--parts", "9"],
        capture_output=True, text=True, check=False, cwd=there.root, env=environment("0"),
    )  # fmt: skip
    assert "nothing is left for it" in nothing.stdout


def environment(index: str) -> dict[str, str]:
    import os

    return {**os.environ, "JOB_COMPLETION_INDEX": index}


def test_who_waits_in_vain_is_told_for_what(there: There) -> None:
    url = re.sub(r":\d+/", ":1/", there.places["promptads"].url)
    import os

    done = subprocess.run(
        [*COMMAND, "wait", "servers", "promptads", "--seconds", "1", "--servers", "external"],
        capture_output=True, text=True, check=False, cwd=there.root, env={**os.environ, "PROMPTADS_URL": url},
    )  # fmt: skip
    assert done.returncode == 3
    assert "promptads: nobody can log in" in done.stderr
    assert "Traceback" not in done.stderr
    assert (re.search(r":([^:@/]+)@", url) or [""])[1] not in done.stderr


def test_sigterm_ends_waiting(there: There) -> None:
    import os

    url = re.sub(r":\d+/", ":1/", there.places["promptads"].url)
    child = subprocess.Popen(
        [*COMMAND, "wait", "servers", "promptads", "--seconds", "600", "--servers", "external"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=there.root,
        env={**os.environ, "PROMPTADS_URL": url, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert child.stderr is not None
        assert "waiting: promptads" in child.stderr.readline()
        child.send_signal(signal.SIGTERM)
        eventually(lambda: child.poll() is not None)
        assert child.returncode == 143
    finally:
        child.kill()
        child.communicate()
