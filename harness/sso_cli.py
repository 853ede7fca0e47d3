"""``harness sso serve | add | roles | login | token | logout | revoke | rotate``: single sign-on; see docs/sso.md."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import DataError, ServerUnavailable, did_you_mean
from harness.servers.base import Target
from harness.terminal import tell

if TYPE_CHECKING:
    import psycopg

app = typer.Typer(no_args_is_help=True, help="Single sign-on: a small issuer of tokens; see docs/sso.md.")

PASSWORD = "PROMPTSALES_SSO_PASSWORD"
"""The environment variable that a password comes from where nobody can be asked."""

URL = "http://127.0.0.1:8900"

Servers = Annotated[str | None, typer.Option("--servers", help="external: only the databases that URLs are given for")]
Issuer = Annotated[str, typer.Option("--issuer", metavar="URL", envvar="PROMPTSALES_SSO_ISSUER", help="the issuer")]
Resource = Annotated[
    str | None, typer.Option("--resource", metavar="URL", help="the server that the token is for, as it calls itself")
]
Email = Annotated[str, typer.Argument(help="the identity's e-mail address")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="an application role; may be repeated")]
KeysFile = Annotated[
    Path | None, typer.Option("--keys", metavar="FILE", help="the signing keys; .servers/sso/keys.json")
]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 8900,
    url: Annotated[
        str | None, typer.Option("--url", help="what clients call the issuer: https, unless it is this machine only")
    ] = None,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", help="tokens are made for these servers only; may be repeated")
    ] = None,
    keys: KeysFile = None,
    servers: Servers = None,
) -> None:
    """Issue tokens until Ctrl-C."""
    import logging

    from harness.etl.ending import said_by, sigterm_ends
    from harness.sso.keys import Keys
    from harness.sso.provider import IssuerSettings
    from harness.sso.serve import entered, keys_file, listen, url_of
    from harness.sso.serve import serve as answer
    from harness.sso.urls import issuer_url

    target = _promptsales(servers)
    listening = listen(host, port)
    chosen = issuer_url(url or url_of(host, listening.getsockname()[1]))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    signing = Keys(keys or keys_file(Path.cwd()))
    try:
        with sigterm_ends(), entered(target, lambda line: tell(line, error=True)) as ours:
            settings = IssuerSettings(chosen, resources=tuple(resource or ()))
            tell(f"issuer {chosen}", error=True)
            answer(settings, ours, signing, listening)
    except KeyboardInterrupt as end:
        tell(f"the issuer was ended by {said_by(end)}", error=True)
    finally:
        listening.close()


@app.command()
def add(
    email: Email,
    name: Annotated[str, typer.Option("--name", help="what people see; the address if it is left out")] = "",
    role: Roles = None,
    servers: Servers = None,
) -> None:
    """Make an identity. Its password is asked for, or comes from PROMPTSALES_SSO_PASSWORD."""
    from harness.promptsales.sso import add_identity

    with _connected(servers) as link:
        _check_roles(role or [])
        add_identity(link, email, name or email, _password(again=True), role or [])
    tell(f"{email}: {', '.join(role or []) or 'no roles'}")


@app.command()
def roles(email: Email, role: Roles = None, servers: Servers = None) -> None:
    """Say what an identity may be; with --role: from now on these, and no others."""
    with _connected(servers) as link, link.transaction():
        identity = _identity(link, email)
        if role is not None:
            _check_roles(role)
            link.execute("DELETE FROM role_of_identity WHERE identity_id = %s", [identity])
            for one in dict.fromkeys(role):
                link.execute("INSERT INTO role_of_identity (identity_id, role) VALUES (%s, %s)", [identity, one])
        rows = link.execute(
            "SELECT role FROM role_of_identity WHERE identity_id = %s ORDER BY role", [identity]
        ).fetchall()
    tell(f"{email}: {', '.join(one for (one,) in rows) or 'no roles'}")


@app.command()
def revoke(email: Email, servers: Servers = None) -> None:
    """End all sessions of an identity, at once."""
    with _connected(servers) as link:
        row = link.execute("SELECT revoke_all(%s)", [_identity(link, email)]).fetchone()
    tell(f"{email}: {row[0] if row else 0} sessions ended")


@app.command()
def login(
    email: Annotated[str | None, typer.Argument(help="who logs in; asked for if it is left out")] = None,
    issuer: Issuer = URL,
    resource: Resource = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="keep it in .servers/sso/tokens.json: 'harness sso token' prints it")
    ] = False,
) -> None:
    """Log in and print the access token, alone, on standard output; with --keep nothing is printed there."""
    from harness.sso.login import log_in

    who = email or typer.prompt("E-mail address", err=True)
    tokens = log_in(issuer, resource, who, _password())
    if keep:
        _kept().keep(tokens)
        more = f" --resource {resource}" if resource else ""
        tell(f"logged in at {issuer}; 'harness sso token{more}' prints the token", error=True)
    else:
        tell(tokens.access)


@app.command()
def token(issuer: Issuer = URL, resource: Resource = None) -> None:
    """Print an access token of the log-in that was kept, refreshed if it is about to expire."""
    tell(_kept().fresh(issuer, resource).access)


@app.command()
def logout(issuer: Issuer = URL, resource: Resource = None) -> None:
    """End the session that was kept."""
    from harness.sso.login import log_out

    tokens = _kept().forget(issuer, resource)
    if tokens is None:
        tell("there was no log-in", error=True)
        return
    log_out(tokens)
    tell("logged out", error=True)


@app.command()
def rotate(
    algorithm: Annotated[str, typer.Option(help="ES256, RS256 or EdDSA")] = "ES256",
    keys: KeysFile = None,
) -> None:
    """Add a new signing key. A running issuer notices; tokens of before stay good until they expire."""
    from harness.sso.keys import LEAD
    from harness.sso.keys import rotate as add_key
    from harness.sso.serve import keys_file

    kid = add_key(keys or keys_file(Path.cwd()), algorithm)
    tell(f"new key {kid}: published now, signs in {LEAD:.0f} s")


def _promptsales(servers: str | None) -> Target:
    from harness.promptsales.ready import check_has
    from harness.seed_cli import targets_of

    found, missing = targets_of(["promptsales"], servers)
    if "promptsales" not in found:
        raise ServerUnavailable(f"promptsales: {missing['promptsales']}, or say where it is (PROMPTSALES_URL)")
    check_has(found["promptsales"].url, "open_session")
    return found["promptsales"]


@contextlib.contextmanager
def _connected(servers: str | None) -> Iterator[psycopg.Connection[Any]]:
    """Raises ServerUnavailable, also for what PromptSales refuses meanwhile."""
    import psycopg

    target = _promptsales(servers)
    try:
        link = psycopg.connect(target.url, autocommit=True, connect_timeout=5)
    except psycopg.Error:
        raise ServerUnavailable("promptsales: does not answer, or refuses the login") from None
    try:
        with link:
            yield link
    except psycopg.errors.InsufficientPrivilege:
        raise ServerUnavailable("promptsales: the URL's login may not do that: use the owner's") from None
    except psycopg.Error as error:
        raise ServerUnavailable(f"promptsales: it could not be done ({type(error).__name__}): try again") from None


def _identity(link: psycopg.Connection[Any], email: str) -> Any:
    if "\0" in email:
        raise DataError("an e-mail address holds no NUL")
    row = link.execute("SELECT id FROM identity WHERE lower(email) = lower(btrim(%s))", [email]).fetchone()
    if row is None:
        raise DataError(f"there is no identity {email!r}: 'harness sso add' makes one")
    return row[0]


def _check_roles(given: list[str]) -> None:
    from harness.sso.model import ROLES

    for role in given:
        if role not in ROLES:
            raise DataError(f"there is no role {role!r}{did_you_mean(role, ROLES)}: {', '.join(ROLES)}")


def _password(*, again: bool = False) -> str:
    """From the environment, or from whoever sits there; never an argument, which others would see."""
    if os.environ.get(PASSWORD):
        return os.environ[PASSWORD]
    if not sys.stdin.isatty():
        raise DataError(f"there is nobody to ask for the password: set {PASSWORD}")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=again, err=True))


def _kept() -> Any:
    from harness.sso.login import Kept
    from harness.sso.serve import keys_file

    return Kept(keys_file(Path.cwd()).with_name("tokens.json"))
