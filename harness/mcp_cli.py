"""``harness mcp``: serve the databases' tools to an assistant, and what goes with that."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import DataError
from harness.terminal import console, say, tell

app = typer.Typer(
    no_args_is_help=True,
    help="MCP servers: tools of each database, and of the harness, for an assistant; see docs/mcp.md.",
)

Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="promptcontent, promptads, promptcrm, promptsales, cache, harness; all"),
]
Servers = Annotated[str | None, typer.Option("--servers", help="external: only the databases that URLs are given for")]
PORT = 8765
ISSUER = "http://127.0.0.1:8900"


@app.command()
def serve(
    names: Names,
    http: Annotated[bool, typer.Option("--http", help="over streamable HTTP; else over stdin and stdout")] = False,
    host: Annotated[str, typer.Option("--host", help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="the port to listen on")] = PORT,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="what clients call it, if a proxy stands before it")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="a certificate for TLS, PEM")
    ] = None,
    key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="and its key, PEM")] = None,
    issuer: Annotated[
        str, typer.Option("--issuer", metavar="URL", help="whose tokens are taken; ours: 'harness sso serve'")
    ] = ISSUER,
    audience: Annotated[
        list[str] | None,
        typer.Option(
            "--audience",
            metavar="TEXT",
            help="whom tokens may be for, besides each server's own address; may be repeated",
        ),
    ] = None,
    roles_claim: Annotated[
        str | None,
        typer.Option("--roles-claim", metavar="PATH", help="of another issuer: where roles are: realm_access.roles"),
    ] = None,
    role_name: Annotated[
        list[str] | None,
        typer.Option("--role-name", metavar="THEIRS=OURS", help="another issuer's name of a role; may be repeated"),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="over stdio: what the local user may be; may be repeated", show_default=False),
    ] = None,
    calls: Annotated[int, typer.Option("--calls", min=1, help="that one caller may make in a minute")] = 120,
    scenarios: Annotated[
        Path, typer.Option("--scenarios", metavar="DIR", help="the folder of those that may be run")
    ] = Path("scenarios"),
    results: Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder where runs are kept")] = Path(
        "results"
    ),
    scenario_servers: Annotated[
        str | None,
        typer.Option("--scenario-servers", help="what they run on: embedded (default), containers or external"),
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option("--project", metavar="DIR", help="the folder where 'harness up' was run; else this one"),
    ] = None,
    servers: Servers = None,
) -> None:
    """Serve the tools of one or more databases. Over stdio: one, until the client goes; with --http: until Ctrl-C."""
    from harness.mcp.http import check_certificate, place_of
    from harness.mcp.local import USUAL, local_caller
    from harness.mcp.opening import Settings, checked_names, needed, opened
    from harness.mcp.serving import log_to_stderr, serve_http, serve_stdio
    from harness.seed_cli import targets_of, use_certificate
    from harness.sso.verify import VerifierSettings

    log_to_stderr()
    if project is not None:
        enter(project)
    wanted = checked_names(names)
    if not http and len(wanted) != 1:
        raise DataError("over stdio one server is served: name one, or give --http")
    if http and role:
        raise DataError("--role is for stdio: over HTTP the token says who calls")
    given = (str(one) if one else None for one in (certificate, key))
    place = place_of(host, port, url, *given)
    check_certificate(place)
    caller = local_caller(role or USUAL)
    verified = VerifierSettings(issuer, tuple(audience or ()), roles_claim, _pairs(role_name or []))
    targets, missing = targets_of(needed(wanted), servers)
    use_certificate("promptcrm" in wanted, make=False)
    settings = Settings(calls=calls, scenarios=scenarios, results=results, servers=scenario_servers)
    with contextlib.ExitStack() as stack:
        found = stack.enter_context(opened(wanted, targets, missing, settings))
        for note in found.entered.notes:
            tell(note, error=True)
        if http:
            serve_http(found, place, verified, lambda line: tell(line, error=True))
        else:
            serve_stdio(found, caller, stack.close)


@app.command()
def tools(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="of these servers; of all")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="a table for a document")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with the schemas of arguments and answers")] = False,
) -> None:
    """Show what each server offers, and to which roles. Needs no database."""
    from harness.mcp.catalogue import as_markdown, as_plain, as_table, offers

    found = offers(names or ["all"])
    if as_json:
        print(json.dumps(as_plain(found), indent=2, ensure_ascii=False))
    elif markdown:
        print(as_markdown(found))
    else:
        where = console()
        for table in as_table(found):
            where.print(table)


@app.command()
def config(
    names: Names,
    client: Annotated[
        str, typer.Option("--client", help="claude-code, claude-desktop, cursor, vscode, codex or inspector")
    ] = "claude-desktop",
    http: Annotated[bool, typer.Option("--http", help="for servers that run already, over HTTP")] = False,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="where those are")] = f"http://127.0.0.1:{PORT}",
) -> None:
    """Print the configuration with which an assistant finds the servers, to be put into its file."""
    from harness.mcp.configuration import configuration
    from harness.mcp.opening import checked_names

    text, where = configuration(client, checked_names(names), http=http, url=url, folder=Path.cwd())
    tell(where, error=True)
    print(text)


@app.command()
def call(
    name: Annotated[str, typer.Argument(metavar="NAME", help="the server")],
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="a tool of it: see 'harness mcp tools'")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT=VALUE", help="as limit=5; a value that is no JSON is a text")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="of a server that runs; the token is in PROMPTSALES_MCP_TOKEN"),
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="without --url: what you are; may be repeated")
    ] = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="where a picture goes")] = None,
) -> None:
    """Call a tool as an assistant would, and print the answer as JSON. Exit code 1 if the tool refuses."""
    from harness.mcp.calling import call_tool
    from harness.mcp.opening import checked_names

    (wanted,) = checked_names([name]) if name != "all" else ("",)
    if not wanted:
        raise DataError("a tool is called of one server: name it")
    answer = call_tool(
        wanted, tool, arguments or [], url=url, token=os.environ.get("PROMPTSALES_MCP_TOKEN"), roles=role or []
    )
    if answer.picture and save:
        save.write_bytes(answer.picture)
        say(console(), f"{save}: {len(answer.picture)} bytes")
    print(answer.text)
    raise typer.Exit(1 if answer.failed else 0)


def enter(project: Path) -> None:
    """Go there: an assistant starts servers wherever it likes. Raises DataError."""
    try:
        os.chdir(project)
    except OSError as error:
        raise DataError(f"--project {project}: {error.strerror or error}") from None


def _pairs(given: list[str]) -> dict[str, str]:
    """Raises DataError."""
    pairs = [one.partition("=") for one in given]
    for one, (theirs, _, ours) in zip(given, pairs, strict=True):
        if not theirs or not ours:
            raise DataError(f"--role-name {one!r}: write THEIRS=OURS, as 'marketing=analyst'")
    return {theirs: ours for theirs, _, ours in pairs}
