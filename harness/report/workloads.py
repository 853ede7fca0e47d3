"""Random workloads as a table for the terminal, and as rows of a run's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from rich import box
from rich.table import Table
from rich.text import Text

from harness.report import words
from harness.report.text import VERDICT
from harness.vocabulary import label
from harness.workloads.result import CHECK, HISTORY, PAGE, WorkloadResult


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A workload on the page."""

    number: int
    result: WorkloadResult
    where: str
    speed: str
    page: str  # where its own page is
    files: list[tuple[str, str]]  # the other files: name, link
    pictures: list[tuple[str, str]]  # of cycles: number, link


def workload_views(results: Sequence[WorkloadResult]) -> list[WorkloadView]:
    """The workloads of a run with their links."""
    return [_view(number, one) for number, one in enumerate(results, 1)]


def _view(number: int, one: WorkloadResult) -> WorkloadView:
    def link(name: str) -> str:
        return quote(f"{one.folder}/{name}", safe="@+/")

    names = [HISTORY, CHECK, *([one.scenario] if one.scenario else [])]
    return WorkloadView(
        number=number,
        result=one,
        where=place(one),
        speed=f"{one.per_second:,.0f}",
        page=link(PAGE),
        files=[(name, link(name)) for name in names],
        pictures=[(str(place), link(name)) for place, name in enumerate(one.pictures, 1)],
    )


def place(one: WorkloadResult) -> str:
    """``promptsales@postgresql``."""
    return label(one.logical, one.engine, stand_in=bool(one.stand_in))


def table(results: Sequence[WorkloadResult]) -> Table:
    """The workloads of a run for ``console.print``: what each one found."""
    made = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    made.add_column("workload", overflow="fold", no_wrap=True)  # what is found gives way
    made.add_column("verdict", no_wrap=True)
    made.add_column("found", overflow="fold")
    for name in ("ok", "failed", "unknown", "per s"):
        made.add_column(name, justify="right", no_wrap=True)
    for one in results:
        text, style = VERDICT.get(one.status, (one.status, ""))
        numbers = (str(one.ok), str(one.failed), str(one.info), f"{one.per_second:.0f}")
        made.add_row(Text(words.one_line(one.id)), Text(text, style=style), Text(words.one_line(one.shown)), *numbers)
    return made
