"""The ETL's rounds as the page shows them: what each moved, a picture over the rounds, what is in quarantine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from harness.etl.kept import EtlRecord, RoundRecord, RunRecord
from harness.etl.model import SOURCES
from harness.report import words
from harness.report.charts import clock, number

MOST_ROUNDS = 40
"""Of the picture: the last ones."""

HEIGHT, TOP, BOTTOM, LEFT, RIGHT = 210, 14, 40, 50, 14
_BAR, _SLIM, _ROOM = 13, 5, 860
_CUT = 40  # characters of a watermark


@dataclass(frozen=True, slots=True)
class Row:
    """A source in a round, as the table has it."""

    source: str
    since: str
    until: str
    counts: tuple[str, ...]  # read, inserted, updated, deleted, quarantined
    seconds: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round, as the table has it."""

    number: int
    began: str
    seconds: str
    status: str
    moved: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class EtlView:
    """Rounds that belong together, as the page shows them."""

    number: int
    record: EtlRecord
    rounds: list[RoundView]
    earlier: list[RoundView]
    facts: list[tuple[str, str]]  # a number, and of what
    picture: Markup
    sources: list[tuple[int, str]]  # the picture's legend: the colour's number, whose it is

    @property
    def name(self) -> str:
        """What it is called."""
        return self.record.title or self.record.name

    @property
    def unseen(self) -> int:
        """Rounds that the picture has no room for."""
        return max(len(self.record.rounds) - MOST_ROUNDS, 0)

    @property
    def open(self) -> int:
        """Rows in quarantine."""
        return sum(one.count for one in self.record.quarantine)

    @property
    def failed(self) -> int:
        """Runs that failed."""
        return sum(row.status == "failed" for one in self.rounds for row in one.rows)

    @property
    def moved(self) -> int:
        """Rows that changed something."""
        return sum(one.moved for one in self.rounds)


def etl_views(records: Sequence[EtlRecord]) -> list[EtlView]:
    """All that a run kept of the ETL."""
    return [_view(place, one) for place, one in enumerate(records, 1)]


def _view(place: int, record: EtlRecord) -> EtlView:
    own = [one for one in record.rounds if not one.earlier]
    sources = sorted({run.source for one in record.rounds for run in one.runs}, key=_place)
    return EtlView(
        number=place,
        record=record,
        rounds=[_round(one) for one in own],
        earlier=[_round(one) for one in record.rounds if one.earlier],
        facts=_facts(record, own),
        picture=picture(record.rounds, sources),
        sources=list(enumerate(sources)),
    )


def _place(source: str) -> tuple[int, str]:
    return (SOURCES.index(source) if source in SOURCES else len(SOURCES)), source


def _facts(record: EtlRecord, rounds: Sequence[RoundRecord]) -> list[tuple[str, str]]:
    runs = [run for one in rounds for run in one.runs]
    failed = sum(run.status == "failed" for run in runs)
    facts = [(f"{len(rounds):,}", "round" if len(rounds) == 1 else "rounds")]
    facts += [
        (f"{sum(getattr(run, name) for run in runs):,}", name) for name in ("read", "inserted", "updated", "deleted")
    ]
    facts.append((f"{sum(one.count for one in record.quarantine):,}", "in quarantine now"))
    return facts + ([(f"{failed:,}", "runs failed" if failed > 1 else "run failed")] if failed else [])


def _round(one: RoundRecord) -> RoundView:
    begins = [run.started_at for run in one.runs]
    ends = [run.finished_at for run in one.runs if run.finished_at is not None]
    seconds = (max(ends) - min(begins)).total_seconds() if ends and len(ends) == len(one.runs) else None
    return RoundView(
        number=one.number,
        began=_moment(one),
        seconds="" if seconds is None else f"{seconds:.1f} s",
        status=one.status,
        moved=sum(run.moved for run in one.runs),
        rows=[_row(run) for run in sorted(one.runs, key=lambda run: _place(run.source))],
    )


def _moment(one: RoundRecord) -> str:
    return f"{min(run.started_at for run in one.runs):%Y-%m-%d} " + clock(_began(one)) if one.runs else "?"


def _began(one: RoundRecord) -> float:
    return min(run.started_at.timestamp() for run in one.runs)


def _row(run: RunRecord) -> Row:
    counts = (run.read, run.inserted, run.updated, run.deleted, run.quarantined)
    return Row(
        source=run.source,
        since=_cut(run.window_from or ("the beginning" if run.status == "succeeded" else "")),
        until=_cut(run.window_to or ""),
        counts=tuple(f"{count:,}" for count in counts),
        seconds="" if run.seconds is None else f"{run.seconds:.2f}",
        status=run.status,
        message=run.message or "",
    )


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[: _CUT - 1]}…"


def failures(record: EtlRecord) -> str:
    """What failed in its rounds, in a line."""
    return "; ".join(
        f"round {one.number}, {run.source}: {run.message or 'it says not why'}"
        for one in record.rounds
        for run in one.runs
        if run.status == "failed" and not one.earlier
    )


# -- the picture


def picture(rounds: Sequence[RoundRecord], sources: Sequence[str]) -> Markup:
    """Rows that each source's run moved, round by round: bars on a scale of powers of ten; a failed run is a cross.

    Its classes are those of the page's style sheet.
    """
    shown = [one for one in rounds if one.runs][-MOST_ROUNDS:]
    if not shown:
        return Markup("")
    bar = min(max(int((_ROOM / len(shown) - 8) / max(len(sources), 1)), _SLIM), _BAR)
    inside = len(sources) * bar
    group = inside + max(bar, 8)
    width = max(LEFT + len(shown) * group + RIGHT, 340)
    most = max((run.moved for one in shown for run in one.runs), default=0)
    power = max(math.ceil(math.log10(most + 1)), 1)
    high = HEIGHT - TOP - BOTTOM
    floor = TOP + high

    def y(value: float) -> float:
        return floor - math.log10(value + 1) / math.log10(10**power + 1) * high

    parts = []
    for value in [0, *(10**one for one in range(power + 1))]:
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{width - RIGHT}"/>')
        if value != 1 or power < 4:
            parts.append(
                f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{escape(number(value))}</text>'
            )
    every = max(math.ceil(34 / group), 1)
    for place, one in enumerate(shown):
        left = LEFT + place * group + (group - inside) / 2
        if not one.earlier and len(shown) > sum(not other.earlier for other in shown):
            parts.append(f'<rect class="own" x="{left - 4:.1f}" y="{TOP}" width="{inside + 8}" height="{high}"/>')
        by_source = {run.source: run for run in one.runs}
        for slot, source in enumerate(sources):
            if source in by_source:
                parts.append(_bar(by_source[source], slot, left + slot * bar, bar, y, floor))
        if place % every == 0 or place == len(shown) - 1:
            middle = left + inside / 2
            parts.append(f'<text x="{middle:.1f}" y="{floor + 16}" text-anchor="middle">{one.number}</text>')
    first, last = _clock(shown[0], shown[-1]), _clock(shown[-1], shown[0])
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">{escape(first)}</text>')
    if len(shown) > 1:
        parts.append(f'<text x="{LEFT + len(shown) * group}" y="{HEIGHT - 6}" text-anchor="end">{escape(last)}</text>')
    said = escape(words.clean(f"Rows moved by round: {_told(shown)}"))
    return Markup(
        f'<svg class="rounds" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" role="img" '
        f'aria-label="{said}">{"".join(parts)}</svg>'
    )


def _bar(run: RunRecord, slot: int, x: float, bar: int, y: Callable[[float], float], floor: float) -> str:
    title = f"<title>{escape(words.clean(_said(run)))}</title>"
    if run.status == "failed":
        middle, arm = x + bar / 2 - 0.5, min(bar, 9) / 2
        cross = f"M{middle - arm:.1f} {floor - 4 - 2 * arm:.1f}l{2 * arm} {2 * arm}m0 {-2 * arm}l{-2 * arm} {2 * arm}"
        whole = (
            f'<rect class="none" x="{x:.1f}" y="{TOP}" width="{bar}" height="{floor - TOP:.1f}"/>'  # to be pointed at
        )
        return f'<g>{whole}<path class="cross" d="{cross}"/>{title}</g>'
    top = min(y(run.moved), floor - 1.5)
    return f'<rect class="c{slot % 8}" x="{x:.1f}" y="{top:.1f}" width="{bar - 1}" height="{floor - top:.1f}">{title}</rect>'


def _said(run: RunRecord) -> str:
    return f"{run.source}: " + (
        f"failed: {run.message}" if run.status == "failed" else f"{run.moved:,} rows, {run.status}"
    )


def _clock(one: RoundRecord, other: RoundRecord) -> str:
    """When it began: the time of day, with the day if the other began on another one."""
    same = min(run.started_at for run in one.runs).date() == min(run.started_at for run in other.runs).date()
    return f"{clock(_began(one)) if same else _moment(one)}"


def _told(rounds: Iterable[RoundRecord]) -> str:
    return "; ".join(
        f"{one.number}: {sum(run.moved for run in one.runs):,}{', failed' if one.status == 'failed' else ''}"
        for one in rounds
    )
