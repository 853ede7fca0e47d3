"""A file being read: what all parts of the loader need of it, and errors with their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import ScenarioError
from harness.scenario import expressions
from harness.scenario.problems import unknown
from harness.scenario.source import Source
from harness.scenario.written import ScenarioWritten
from harness.vocabulary import DEFAULT_LEVEL, LEVELS


def levels_known(engine: str) -> tuple[str, ...]:
    """The levels that a file may name for ``engine``; PostgreSQL's sessions can be left at what the server gives."""
    return (*LEVELS[engine], DEFAULT_LEVEL) if engine == "postgresql" else LEVELS[engine]


@dataclass(frozen=True, slots=True)
class Reading:
    """``written`` came from ``source``; ``parameters`` are in force; ``placements`` say where it runs: alias → database."""

    source: Source
    written: ScenarioWritten
    parameters: Mapping[str, Any]
    placements: tuple[Mapping[str, str], ...]

    @property
    def aliases(self) -> tuple[str, ...]:
        """The databases of a case, the sessions' default first."""
        return tuple(self.placements[0])

    def error(self, message: str, *path: str | int) -> ScenarioError:
        """An error at the place of ``path``."""
        return self.source.error(message, *path)

    def unknown(self, what: str, name: str, known: Iterable[str], where: str, *path: str | int) -> ScenarioError:
        """An error: ``name`` is none of ``known``."""
        return self.error(unknown(what, name, known, where), *path)

    def alias(self, name: str | None, *path: str | int) -> str:
        """The alias that ``on:`` names, or the default."""
        if name is None:
            return self.aliases[0]
        if name not in self.aliases:
            raise self.unknown("database alias", name, self.aliases, "on", *path)
        return name

    def place(self, names: Sequence[str], *path: str | int) -> tuple[str, tuple[str, ...]]:
        """The alias, or the default, and the hosts that a session's ``on:`` names."""
        hosts = self.written.hosts
        for number, name in enumerate(names):
            if name not in (*self.aliases, *hosts):
                known = (*self.aliases, *hosts)
                raise self.unknown(
                    "database alias or host" if hosts else "database alias", name, known, "on", *path, number
                )
        aliases = [name for name in names if name in self.aliases]
        if len(aliases) > 1:
            raise self.error(
                f"a session speaks to one database by itself, not to {' and '.join(aliases)}: "
                "say 'on:' at the steps that speak to another one",
                *path,
            )
        return (aliases or self.aliases)[0], tuple(name for name in names if name in hosts)

    def fill(self, value: Any, *path: str | int, names: Mapping[str, Any] | None = None) -> Any:
        """``value`` with the file's parameters, and ``names``, in its ``${…}``."""
        try:
            return expressions.fill(value, {**self.parameters, **(names or {})})
        except ScenarioError as error:
            raise self.error(error.message, *path) from None
