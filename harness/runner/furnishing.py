"""What a throw-away database has in it before a case begins: the objects of a schema, rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.engines.base import Engine
from harness.schemas import PROMPTSALES, Wanted, apply, scripts
from harness.servers.base import Target


@dataclass(frozen=True, slots=True)
class Furnishing:
    """A way to fill an empty database. What has the same ``name`` fills a logical database with the same.

    ``fill(target, engine, url)`` raises HarnessError; ``url`` is the database's own.
    """

    name: str
    fill: Callable[[Target, Engine, str], None]


def schema(root: Path, wanted: Wanted, *, server: bool = False) -> Furnishing:
    """The objects that the files of the folder ``root`` (``schemas``) declare; with ``server``, those of the server too."""

    def fill(target: Target, engine: Engine, url: str) -> None:
        apply(engine, url, scripts(root, target.logical, engine.name, wanted, server=server))

    return Furnishing(f"{root}: {wanted}{' and server' if server else ''}", fill)


def seeded(size: str, contents: int | None = None) -> Furnishing:
    """PromptSales's objects and the seeder's rows of a size; so many ``contents`` instead of the size's own number."""

    def fill(target: Target, engine: Engine, url: str) -> None:
        from fixtures.seed import plan_of, seed_into

        apply(engine, url, scripts(PROMPTSALES, target.logical, engine.name, Wanted.empty, server=True))
        seed_into(target.logical, engine.name, url, plan_of(size, contents=contents))

    return Furnishing(f"seeded {size}{'' if contents is None else f', {contents} contents'}", fill)
