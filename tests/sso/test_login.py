"""Logging in from a terminal, and the command line."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from polling import eventually
from sso_flow import CHEAP, PASSWORD, RESOURCE
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import DataError, HarnessError, LoginRefused, ServerError, StoreError, TokenRefused
from harness.promptsales.sso import add_identity
from harness.servers.base import Target
from harness.sso.login import Kept, log_in, log_out, refresh
from harness.sso.verify import VerifierSettings, open_verifier

pytestmark = pytest.mark.mcp
EMAIL = "ana@example.com"


def test_in_on_and_out(world):
    verifier = world.verifier()
    tokens = log_in(world.url, RESOURCE, EMAIL, PASSWORD)
    assert verifier.verify(tokens.access).name == EMAIL
    assert tokens.access not in repr(tokens)
    assert tokens.refresh not in repr(tokens)
    following = refresh(tokens)
    assert verifier.verify(following.access).name == EMAIL
    log_out(following)
    with pytest.raises(TokenRefused, match="session has ended"):
        verifier.verify(following.access)
    with pytest.raises(LoginRefused, match="log in again"):
        refresh(following)


@pytest.mark.parametrize(
    ("email", "password"), [(EMAIL, "wrong"), ("nobody@example.com", PASSWORD), ("\0", "\ud800"), ("", "")]
)
def test_refused(world, email, password):
    with pytest.raises(HarnessError) as caught:
        log_in(world.url, RESOURCE, email, password)
    assert isinstance(caught.value, LoginRefused)
    assert "wrong, or there were too many attempts" in str(caught.value)


def test_a_resource_that_is_none(world):
    for resource in ("http://elsewhere.example", "\ud800", "x"):
        with pytest.raises(DataError, match="cannot be a server's URL"):
            log_in(world.url, resource, EMAIL, PASSWORD)


@pytest.mark.parametrize("url", ["http://sso.example.com", "https://x/", "nonsense"])
def test_issuers_that_cannot_be(url):
    with pytest.raises(DataError):
        log_in(url, None, EMAIL, PASSWORD)


def test_nobody_listens_there():
    with pytest.raises(ServerError, match="does not answer"):
        log_in("http://127.0.0.1:1", None, EMAIL, PASSWORD)


def test_an_issuer_that_is_not_ours(fake):
    with pytest.raises(ServerError, match="registration_endpoint"):
        log_in(fake.url, None, EMAIL, PASSWORD)
    fake.about = {"issuer": "https://other.example"}
    with pytest.raises(ServerError, match="another name"):
        log_in(fake.url, None, EMAIL, PASSWORD)


def test_kept_and_refreshed_by_one_of_many(world, tmp_path):
    kept = Kept(tmp_path / "sso" / "tokens.json")
    tokens = log_in(world.url, RESOURCE, EMAIL, PASSWORD)
    kept.keep(replace(tokens, expires=time.time()))
    assert stat.S_IMODE((tmp_path / "sso" / "tokens.json").stat().st_mode) == 0o600
    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(lambda _: kept.fresh(world.url, RESOURCE).access, range(12)))
    assert len(set(given)) == 1  # a second refresh with the same token would have ended the session
    assert given[0] != tokens.access
    assert world.verifier().verify(given[0]).name == EMAIL
    ended = kept.forget(world.url, RESOURCE)
    assert ended is not None
    log_out(ended)
    with pytest.raises(LoginRefused, match="no log-in"):
        kept.fresh(world.url, RESOURCE)


def test_a_kept_session_that_has_ended_is_forgotten(world, tmp_path):
    kept = Kept(tmp_path / "tokens.json")
    tokens = log_in(world.url, RESOURCE, EMAIL, PASSWORD)
    kept.keep(replace(tokens, expires=time.time()))
    log_out(tokens)
    with pytest.raises(LoginRefused, match="session has ended"):
        kept.fresh(world.url, RESOURCE)
    with pytest.raises(LoginRefused, match="no log-in"):
        kept.fresh(world.url, RESOURCE)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"x": 5}'])
def test_a_file_that_holds_none(tmp_path, text):
    (tmp_path / "tokens.json").write_text(text)
    with pytest.raises(LoginRefused, match="no log-in"):
        Kept(tmp_path / "tokens.json").fresh("http://127.0.0.1:1", None)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Kept(tmp_path / "file" / "tokens.json").forget("x", None)


# -- the command line


@pytest.fixture
def run(promptsales_db, tmp_path, monkeypatch):
    """Runs a command in a folder of its own, with PromptSales given by its URL."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMPTSALES_URL", promptsales_db.url)
    monkeypatch.setenv("PROMPTSALES_SSO_PASSWORD", PASSWORD)

    def command(*arguments: str):
        return CliRunner().invoke(app, ["sso", *arguments])

    return command


def test_identities_on_the_command_line(run, promptsales_db):
    answer = run("add", EMAIL, "--name", "Ana", "--role", "analyst", "--role", "tester")
    assert answer.exit_code == 0, answer.output
    assert answer.output == f"{EMAIL}: analyst, tester\n"
    assert run("roles", EMAIL).output == f"{EMAIL}: analyst, tester\n"
    assert run("roles", EMAIL.upper(), "--role", "admin").output.endswith(": admin\n")
    assert run("revoke", EMAIL).output == f"{EMAIL}: 0 sessions ended\n"
    for wrong in (
        ("add", EMAIL),
        ("add", "nonsense"),
        ("roles", "nobody@example.com"),
        ("roles", EMAIL, "--role", "king"),
    ):
        refused = run(*wrong)
        assert isinstance(refused.exception, DataError), refused
        assert PASSWORD not in str(refused.exception)


def test_a_password_is_never_an_argument(run, monkeypatch):
    monkeypatch.delenv("PROMPTSALES_SSO_PASSWORD")
    refused = run("add", EMAIL)
    assert isinstance(refused.exception, DataError)
    assert "PROMPTSALES_SSO_PASSWORD" in str(refused.exception)
    assert "--password" not in run("add", "--help").output + run("login", "--help").output


def test_a_token_on_the_command_line(world, run):
    answer = run("login", EMAIL, "--issuer", world.url, "--resource", RESOURCE)
    assert answer.exit_code == 0, answer.output
    verifier = world.verifier()
    assert verifier.verify(answer.stdout.strip()).name == EMAIL
    asked = ("--issuer", world.url, "--resource", RESOURCE)
    assert run("login", EMAIL, "--keep", *asked).stdout == ""
    kept = run("token", *asked).stdout.strip()
    assert verifier.verify(kept).name == EMAIL
    assert run("logout", *asked).exit_code == 0
    with pytest.raises(TokenRefused, match="session has ended"):
        verifier.verify(kept)
    assert isinstance(run("token", *asked).exception, LoginRefused)


def test_old_sessions_are_cleared_away_by_the_issuer_s_own_rights(promptsales_db):
    from harness.sso.serve import FORGOTTEN

    own = promptsales_db.connect()
    own.execute("SET ROLE promptsales_sso")
    assert own.execute("SELECT purge_sessions(%s)", [FORGOTTEN]).fetchone() == (0,)


def test_served_by_a_process_of_its_own(promptsales_db, tmp_path):
    """The real thing: its own login to PromptSales, a token, all its sessions revoked, SIGTERM, nothing left."""
    connection = promptsales_db.connect()
    add_identity(connection, EMAIL, "Ana", PASSWORD, ["analyst"], cost=CHEAP)
    environ = os.environ | {"PROMPTSALES_URL": promptsales_db.url, "PROMPTSALES_SSO_PASSWORD": PASSWORD}
    harness = [sys.executable, "-c", "from harness.cli import main; main()"]
    process = subprocess.Popen(
        [*harness, "sso", "serve", "--port", "0"], cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("issuer "))
        url = line.split()[1]
        logins = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'psh_sso_%'"
        assert connection.execute(logins).fetchone()[0] >= 1
        tokens = eventually(lambda: _try(url), "the issuer answers")
        verifier = open_verifier(
            VerifierSettings(url, (RESOURCE,)), Target("promptsales", "postgresql", promptsales_db.url), {}
        )
        assert verifier.verify(tokens.access).name == EMAIL
        used = connection.execute(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'psh:sso'"
        ).fetchall()
        assert all(name.startswith("psh_sso_") for (name,) in used)
        assert used
        done = subprocess.run(
            [*harness, "sso", "revoke", EMAIL], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{EMAIL}: 1 sessions ended\n"
        with pytest.raises(TokenRefused, match="session has ended"):
            verifier.verify(tokens.access)
        verifier.close()
        own = used[0][0]
    finally:
        process.terminate()
        rest = process.stderr.read() if process.stderr else ""
        process.wait(30)
    assert "Traceback" not in rest
    assert PASSWORD not in rest
    assert connection.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [own]).fetchone() == (0,)


def _try(url: str):
    try:
        return log_in(url, RESOURCE, EMAIL, PASSWORD)
    except ServerError:
        return None
