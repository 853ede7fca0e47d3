"""``harness migrate`` makes PromptSales's databases what this version wants; ``harness wait`` waits until they are."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import DataError, ServerUnavailable, did_you_mean
from harness.terminal import tell
from harness.vocabulary import LOGICAL

Servers = Annotated[str | None, typer.Option("--servers", help="external: only the databases that URLs are given for")]


class Until(StrEnum):
    """What is waited for."""

    servers = "servers"
    migrated = "migrated"


def migrate(
    only: Annotated[
        str, typer.Option("--only", metavar="NAME,…", help="these databases; all that are up if none is named")
    ] = "",
    logins: Annotated[
        Path | None,
        typer.Option(
            "--logins", metavar="DIR", help="logins to make or renew: COMPONENT/PROMPTSALES_URL and so on in it"
        ),
    ] = None,
    servers: Servers = None,
) -> None:
    """Make databases, schemas, logins and linked servers, as far as they are not there. Can be run again at any time."""
    from fixtures.seed.run import Place
    from harness.migrating.files import read_logins
    from harness.migrating.migrate import migrate as make
    from harness.promptsales.cipher_certificate import MASTER_PASSWORD
    from harness.runner.databases import data_url
    from harness.seed_cli import names_of, targets_of

    wanted = names_of(only) or LOGICAL
    found, missing = targets_of(wanted, servers)
    if only and missing:
        raise ServerUnavailable("; ".join(f"{name}: {why}" for name, why in missing.items()))
    for name, why in missing.items():
        tell(f"{name}: left out, {why}")
    places = {name: Place(target.engine, data_url(target)) for name, target in found.items()}
    memory, _ = targets_of(["promptsales"], servers)
    url = memory["promptsales"].url if memory else ""
    make(places, read_logins(logins) if logins else (), memory=url, master=os.environ.get(MASTER_PASSWORD), tell=tell)


def wait(
    until: Annotated[
        Until, typer.Argument(help="servers: they take a login; migrated: they are what this version wants")
    ],
    databases: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="these; all that are up if none is named")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="how long at most")] = 300,
    servers: Servers = None,
) -> None:
    """Wait until the databases are ready. Exit code 3 if they are not in time, with what is missing."""
    from harness.etl.ending import sigterm_ends
    from harness.migrating import waiting
    from harness.seed_cli import targets_of

    for name in databases or ():
        if name not in LOGICAL:
            raise DataError(f"there is no database {name!r}{did_you_mean(name, LOGICAL)}: {', '.join(LOGICAL)}")
    found, missing = targets_of(tuple(databases or LOGICAL), servers)
    if not found or (databases and missing):
        raise ServerUnavailable("; ".join(f"{name}: {why}" for name, why in missing.items()))
    memory, _ = targets_of(["promptsales"], servers)
    if until is Until.migrated and not memory:
        raise ServerUnavailable("promptsales has no URL here: what was migrated is remembered there (PROMPTSALES_URL)")
    look = waiting.servers(found) if until is Until.servers else waiting.migrated(found, memory["promptsales"].url)
    try:
        with sigterm_ends():
            waiting.wait(look, seconds, lambda line: tell(line, error=True))
    except KeyboardInterrupt:
        sys.exit(143)
    tell(f"{', '.join(found)}: ready")
