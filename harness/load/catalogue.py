"""The kinds of users that there are, by the names that load files use: what each does, and the databases it needs.

Only names: the classes are imported by Locust's own process (:mod:`harness.load.users`), never by pytest's, because
importing Locust makes the whole process cooperative. A test holds this list and the classes equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UserKind:
    """A kind of user. ``tasks``: what it does, and how often beside the others."""

    name: str
    about: str
    module: str
    cls: str
    databases: tuple[str, ...]  # the first one is the one it is called after
    tasks: Mapping[str, int]


USERS: dict[str, UserKind] = {
    one.name: one
    for one in (
        UserKind(
            "seller",
            "registers sales, opens clients' cards, looks for clients nearby",
            "promptcrm",
            "Seller",
            ("promptcrm",),
            {"register sale": 4, "client card": 5, "clients near": 1},
        ),
        UserKind(
            "planner",
            "moves money between the budgets of campaigns, looks at them, writes down what ads did",
            "promptads",
            "Planner",
            ("promptads",),
            {"move budget": 3, "campaign budgets": 5, "record metric": 2},
        ),
        UserKind(
            "analyst",
            "looks at the dashboard: months, campaigns, pace",
            "promptsales",
            "Analyst",
            ("promptsales",),
            {"month board": 4, "month by campaign": 3, "budget pace": 2, "campaign performance": 1},
        ),
        UserKind(
            "visitor",
            "reads campaigns through the cache, is let through by the rate limiter",
            "cache",
            "Visitor",
            ("cache", "promptsales"),
            {"read campaign": 6, "rate limit": 3, "change campaign": 1},
        ),
        UserKind(
            "editor",
            "finds contents by hashtag and opens them, likes them",
            "promptcontent",
            "Editor",
            ("promptcontent",),
            {"contents of hashtag": 5, "open content": 3, "like content": 2},
        ),
        UserKind(
            "searcher",
            "finds contents that mean what is asked for, by their vectors",
            "vectors",
            "Searcher",
            ("promptsales",),
            {"similar contents": 1},
        ),
    )
}


def databases_of(users: Iterable[str]) -> tuple[str, ...]:
    """The logical databases that these kinds of users need, each once.

    >>> databases_of(["visitor", "analyst"])
    ('cache', 'promptsales')
    """
    return tuple(dict.fromkeys(name for user in users for name in USERS[user].databases))
