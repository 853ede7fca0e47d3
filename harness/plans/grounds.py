"""Where pairs are run: throw-away databases seeded for the run, or those that ``harness seed`` has filled and that stay."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.engines import engine
from harness.engines.base import Engine
from harness.engines.mongodb_wire import connect as mongo_connect
from harness.engines.plans_base import Bench, Planning
from harness.errors import DataError, EngineError, HarnessError
from harness.runner.databases import Databases, data_url
from harness.runner.furnishing import seeded
from harness.servers.base import Target

_PARTS = ("clients", "campaigns", "contents")


@dataclass(frozen=True, slots=True)
class Ground:
    """A seeded database. ``disposable``: the run's own, which nobody else is in."""

    target: Target
    engine: Engine
    size: str  # tiny, small, medium, full, or how many clients
    clients: int
    disposable: bool
    url: str = field(repr=False, default="")

    def bench(self, run: str) -> Bench:
        """Open one. Raises EngineError if the engine has no plans, and as :meth:`Planning.bench`."""
        if not isinstance(self.engine, Planning):
            raise EngineError(f"{self.target.label}: {self.engine.name} has no plans")
        return self.engine.bench(self.url, run, disposable=self.disposable)


class Grounds:
    """The databases of one process of a run. What it makes goes with ``databases``."""

    def __init__(self, databases: Databases, *, kept: bool) -> None:
        self._databases = databases
        self._kept = kept
        self._made: dict[tuple[str, str], Ground] = {}

    def ground(self, logical: str, size: str) -> Ground:
        """The database of a size, or the one that is kept. All pairs share it: they leave it as it was.

        Raises ServerUnavailable (skip), ServerError, EngineError, DataError.
        """
        key = (logical, "" if self._kept else size)
        if key not in self._made:
            self._made[key] = self._standing(logical) if self._kept else self._fresh(logical, size)
        return self._made[key]

    def _fresh(self, logical: str, size: str) -> Ground:
        made = self._databases.make(logical, (), furnishing=seeded(size))
        return Ground(made.target, made.engine, size, _sizes()[size]["clients"], True, made.url)

    def _standing(self, logical: str) -> Ground:
        target = self._databases.target(logical)
        kind = engine(target.engine)
        url = data_url(target)
        identity = _identity(kind, url)
        if target.engine == "mongodb" and identity and "clients" not in identity:
            with contextlib.suppress(HarnessError):  # the sums know how large the whole is
                central = self._databases.target("promptsales")
                identity = {**_identity(engine(central.engine), central.url), **identity}
        if not identity:
            raise DataError(
                f"{target.label}: 'harness seed' has not filled it: harness up, harness seed full, or leave out --data"
            )
        size, clients = size_of(identity)
        return Ground(target, kind, size, clients, False, url)


def size_of(identity: Mapping[str, int]) -> tuple[str, int]:
    """The name of the size that a plan has, else how many clients; and their number.

    >>> size_of({"clients": 500000, "campaigns": 1000, "contents": 120}), size_of({"clients": 7, "contents": 120})
    (('full', 500000), ('7 clients', 7))
    """
    fitting = [
        name
        for name, parts in _sizes().items()
        if all(identity[part] == parts[part] for part in _PARTS if part in identity)
    ]
    clients = int(identity.get("clients", _sizes()[fitting[0]]["clients"] if fitting else 0))
    return (fitting[0] if fitting else f"{clients} clients"), clients


def _sizes() -> dict[str, dict[str, int]]:
    from fixtures.seed import SIZES

    return SIZES


def _identity(kind: Engine, url: str) -> dict[str, int]:
    """What the seeder has noted of its plan; empty if it has not been there. Raises ServerError, LoginRefused."""
    if kind.name == "mongodb":
        client = mongo_connect(url, "psh:plans")
        try:
            note: dict[str, Any] = client.get_default_database()["seed_range"].find_one({"_id": "plan"}) or {}
            return {part: int(note[part]) for part in _PARTS if part in note}
        finally:
            client.close()
    from harness.engines.base import SessionOptions, Statement

    with contextlib.closing(kind.open(url, SessionOptions("psh:plans", kind.levels[0]))) as session:
        outcome = session.run(Statement("SELECT job, first_id FROM seed_range WHERE job LIKE 'plan%'"))
        rows = outcome.results[0].rows if outcome.error is None and outcome.results else []
    return {part: int(value) for job, value in rows for part in _PARTS if str(job).endswith(part)}
