"""The logins by which the ETL goes in: of its own on every SQL server, with a random password and the rights of one role.

MongoDB and Redis are gone into by their URL's own login.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from harness.servers.base import Target
from harness.servers.logins import LoginFor
from harness.servers.logins import logins as made

GROUPS = {"promptsales": "promptsales_etl", "promptads": "promptads_etl", "promptcrm": "promptcrm_etl"}
"""The role of each database whose rights the ETL's login has, and no others."""

PREFIX = "psh_etl_"
VALID = timedelta(hours=12)
"""How long a password is taken: longer than any round, for a login that nobody could drop."""


@dataclass(frozen=True, slots=True)
class Entered:
    """Servers as the ETL goes into them, and what is to be said of it, a line each."""

    targets: Mapping[str, Target]
    notes: tuple[str, ...]
    own: tuple[str, ...]
    """The databases that have a login of their own."""


@contextlib.contextmanager
def logins(targets: Mapping[str, Target]) -> Iterator[Entered]:
    """These servers with logins of the ETL's own; at the end they are dropped, and whoever is in by them is put out.

    A server that does not answer is left as it is: whoever uses it will say so.
    """
    wanted = [LoginFor(logical, group) for logical, group in GROUPS.items()]
    with made(targets, wanted, PREFIX, valid=VALID) as entered:
        changed = {one.logical: target for one, target in entered.targets.items()}
        yield Entered({**targets, **changed}, entered.notes, tuple(one.logical for one in entered.own))
