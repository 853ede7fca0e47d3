"""A run's specifications: thousands of permutations, each known by its line in run.json, gathered by their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.evidence.model import Evidence
from harness.evidence.store import EVIDENCE, Store, prefix, read_evidence
from harness.history import EventKind
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg

PICTURES: dict[str, Callable[[Evidence], str]] = {"timeline.svg": timeline_svg, "waits.svg": waits_svg}

Listed = tuple[Mapping[str, Any], Evidence | None]
"""A case's line in run.json, and its evidence if that is at hand."""


@dataclass(slots=True)
class Permutation:
    """A permutation as its line tells it. ``waited`` is None if that cannot be said without its evidence."""

    schedule: str
    status: str
    summary: str
    found: list[str]
    seconds: float
    waited: bool | None
    links: list[tuple[str, str]]  # a name and where it leads to, as seen from the run's folder
    number: int = 0  # of the case that tells it in full, if one does


@dataclass(slots=True)
class Specification:
    """A file's permutations on one engine and level."""

    name: str
    file: str
    where: str  # engine and level
    permutations: list[Permutation] = field(default_factory=list)

    def count(self, status: str) -> int:
        """How many permutations have this verdict."""
        return sum(one.status == status for one in self.permutations)

    @property
    def status(self) -> str:
        """The worst verdict of all."""
        return next((status for status in ("failed", "error") if self.count(status)), "passed")

    @property
    def waited(self) -> str:
        """In how many a session waited for another one; ``12+`` if there may be more, empty for none."""
        known = sum(one.waited is True for one in self.permutations)
        more = any(one.waited is None for one in self.permutations)
        return f"{known}{'+' if more else ''}" if known or more else ""

    @property
    def deadlocks(self) -> int:
        """How many ended in a deadlock, a hidden one too."""
        return sum(any("deadlock" in name for name in one.found) for one in self.permutations)

    @property
    def seconds(self) -> float:
        """Of all together."""
        return sum(one.seconds for one in self.permutations)


def separated(listed: Iterable[Listed]) -> tuple[list[Listed], list[Listed]]:
    """The cases that are told one by one, and the permutations."""
    cases: list[Listed] = []
    permutations: list[Listed] = []
    for one in listed:
        (permutations if one[0].get("permutation") else cases).append(one)
    return cases, permutations


def specifications(
    permutations: Iterable[Listed],
    pictures: Mapping[str, Sequence[str]] | None = None,
    numbers: Mapping[int, int] | None = None,
) -> list[Specification]:
    """Permutations gathered by their files, in the order of the run.

    ``pictures`` are those of each folder (see :func:`drawn`), if others than their lines say; ``numbers`` those of the cases
    that tell a permutation in full, by the ``id`` of its line.
    """
    made: dict[tuple[str, str], Specification] = {}
    for line, evidence in permutations:
        file, where = str(line.get("file", "")), f"{line.get('engine', '')} {line.get('level', '')}".strip()
        if (file, where) not in made:
            made[file, where] = Specification(str(line["id"]).partition("[")[0], file, where)
        where_to = prefix(line) if line.get("folder") else ""
        given = line["permutation"].get("pictures", [])
        permutation = Permutation(
            schedule=str(line["permutation"].get("schedule", "")),
            status=str(line.get("status", "")),
            summary=str(line.get("summary", "")),
            found=[str(name) for name in line.get("found", [])],
            seconds=float(line.get("seconds") or 0),
            waited=_waited(line, evidence),
            links=_links(where_to, given if pictures is None else pictures.get(where_to, ())),
            number=(numbers or {}).get(id(line), 0),
        )
        made[file, where].permutations.append(permutation)
    return list(made.values())


def _waited(line: Mapping[str, Any], evidence: Evidence | None) -> bool | None:
    if evidence is not None:
        return any(event.kind is EventKind.blocked for event in evidence.history.events)
    # At once, pictures are drawn where somebody waited, and where the verdict is not as expected.
    pictured = bool(line["permutation"].get("pictures"))
    return None if pictured and line.get("status") != "passed" else pictured


def _links(begin: str, pictures: Iterable[str]) -> list[tuple[str, str]]:
    if not begin:
        return []
    place = quote(begin, safe="@+/")
    names = [name for name in PICTURES if name in pictures]
    return [(name.removesuffix(".svg"), f"{place}{name}") for name in names] + [("evidence", f"{place}{EVIDENCE}")]


def drawn(folder: Path, run: Mapping[str, Any]) -> dict[str, list[str]]:
    """The pictures that each permutation has, whenever they were drawn, by what its files' names begin with (``prefix``).

    ``folder`` is the run's.
    """
    many = [line for line in run.get("cases", []) if line.get("permutation") and line.get("folder")]
    return {begin: [one for one in PICTURES if (folder / f"{begin}{one}").is_file()] for begin in map(prefix, many)}


def draw_missing(folder: Path, run: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Draw the pictures that permutations do not have yet. Raises StoreError."""
    store = Store(folder.parent, folder.name)
    lacking = [begin for begin, pictures in drawn(folder, run).items() if len(pictures) < len(PICTURES)]
    lacking = [begin for begin in lacking if (folder / f"{begin}{EVIDENCE}").is_file()]
    for number, begin in enumerate(lacking, 1):
        say(f"drawing pictures: {number} of {len(lacking)}, {begin}")
        evidence = read_evidence(folder / f"{begin}{EVIDENCE}")
        for picture, draw in PICTURES.items():
            store.write(f"{begin}{picture}", draw(evidence))
