"""Load runs and what the monitor saw, as the page shows them: charts on one time axis, tables, what sampling cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.load.result import LoadResult, Requests, Second
from harness.monitor.series import Series, TopStatement
from harness.report import words
from harness.report.charts import Chart, Group, Line, Mark, number, thinned

MOST_LINES = 8
MOST_STATEMENTS = 15
_PERCENTILES = ("50", "90", "95", "99", "99.9")


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of request in the table; times are milliseconds, as they are written."""

    name: str
    database: str
    done: int
    per_second: str
    percentiles: list[str]
    most: str
    service: list[str]
    failed: str
    retried: str


@dataclass(slots=True)
class LoadView:
    """A load run on the page."""

    number: int
    result: LoadResult
    rows: list[Row]
    heads: list[str]  # the percentiles' names
    facts: list[tuple[str, str]]  # a number, and of what
    group: Group
    cut: int = 0  # kinds of requests that have no lines of their own

    @property
    def name(self) -> str:
        """What it is called."""
        return self.result.title or self.result.name


@dataclass(slots=True)
class Watched:
    """A server, or the host, in the monitor's tables."""

    series: Series
    cost: str
    waits: list[tuple[str, str, str]]  # what for, sessions at once: mean, most
    statements: list[TopStatement]
    quiet: list[str]  # measures that were zero all the time
    unknown: list[str]  # measures that were never known
    facts: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class MonitorView:
    """All that the monitor saw in the run."""

    watched: list[Watched]
    group: Group


def load_views(results: Sequence[LoadResult], series: Sequence[Series]) -> list[LoadView]:
    """The load runs, each with the monitor's charts of its time below its own."""
    return [_load_view(place, result, series) for place, result in enumerate(results, 1)]


def _load_view(place: int, result: LoadResult, series: Sequence[Series]) -> LoadView:
    until = result.began + max(result.seconds, result.step)
    group = Group(f"load-{place}-charts", result.began, until)
    kinds = sorted(result.requests, key=lambda one: -one.done)
    group.charts += [thinned(chart) for chart in _load_charts(result, kinds[:MOST_LINES], kinds)]
    for one in series:
        charts = server_charts(_within(one, result.began, until))
        if charts:
            group.heads[len(group.charts)] = one.label
            group.charts += [thinned(chart) for chart in charts]
    heads = [p for p in _PERCENTILES if any(p in one.percentiles for one in result.requests)]
    return LoadView(
        number=place,
        result=result,
        rows=[_row(result, one, heads) for one in result.requests],
        heads=heads,
        facts=_facts(result),
        group=group,
        cut=max(len(kinds) - MOST_LINES, 0),
    )


def _row(result: LoadResult, one: Requests, heads: Sequence[str]) -> Row:
    return Row(
        name=one.name,
        database=one.database,
        done=one.done,
        per_second=number(one.done / result.seconds if result.seconds else 0),
        percentiles=[number(one.percentiles.get(p)) for p in heads],
        most=number(one.most),
        service=[number(one.service.get(p)) for p in heads] if one.service else [],
        failed=by_kind(one.failed),
        retried=by_kind(one.retried),
    )


def by_kind(kinds: Mapping[str, int]) -> str:
    """``3 deadlock, 1 serialization``; nothing for none."""
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items(), key=lambda one: -one[1]) if count)


def total(requests: Iterable[Requests], what: str) -> dict[str, int]:
    """``failed`` or ``retried`` of all requests together, by kind."""
    made: dict[str, int] = defaultdict(int)
    for one in requests:
        for kind, count in getattr(one, what).items():
            made[kind] += count
    return dict(made)


def _facts(result: LoadResult) -> list[tuple[str, str]]:
    done = sum(one.done for one in result.requests)
    facts = [
        (f"{done:,}", "requests done"),
        (number(done / result.seconds if result.seconds else 0), "a second"),
        (f"{sum(total(result.requests, 'failed').values()):,}", "given up"),
        (f"{sum(total(result.requests, 'retried').values()):,}", "refused and tried again"),
    ]
    if result.users:
        facts.append((f"{max(one.users for one in result.users):,}", "users at most"))
    if result.intended is not None:
        facts += [(f"{result.intended:,}", "were to begin"), (f"{result.late:,}", "began late")]
    return facts


def _load_charts(result: LoadResult, kinds: Sequence[Requests], every: Sequence[Requests]) -> list[Chart]:
    by_time: list[dict[float, Second]] = [{round(s.at, 3): s for s in one.seconds} for one in kinds]
    at = sorted({round(second.at, 3) for one in every for second in one.seconds})
    charts = []
    if at:
        step = result.step or 1
        done = [Line(k.name, [_of(t, s, "done", 0) / step for t in at]) for k, s in zip(kinds, by_time, strict=True)]
        if len(every) > 1:
            sums: dict[float, float] = defaultdict(float)
            for one in every:
                for second in one.seconds:
                    sums[round(second.at, 3)] += second.done / step
            done.append(Line("all", [sums[t] for t in at]))
        charts.append(Chart("Throughput", "requests/s", at, done))
        sets = []
        for name in ("p50", "p95", "p99", "most"):
            lines = [
                Line(k.name, [getattr(s[t], name) if t in s else None for t in at])
                for k, s in zip(kinds, by_time, strict=True)
            ]
            if any(v is not None for line in lines for v in line.values):
                sets.append((name, lines))
        if sets:
            chosen = next((i for i, (name, _) in enumerate(sets) if name == "p95"), 0)
            charts.append(Chart("Response time", "ms", at, sets[chosen][1], sets, chosen, most=True))
        trouble = []
        for what, said in (("failed", "given up"), ("retried", "tried again")):
            for k, s in zip(kinds, by_time, strict=True):
                values = [_of(t, s, what, 0) / step for t in at]
                if any(values):
                    trouble.append(Line(f"{k.name}: {said}", values))
        if trouble:
            charts.append(Chart("Refused", "requests/s", at, trouble[:MOST_LINES]))
    if result.users:
        line = Line("users", [float(one.users) for one in result.users])
        charts.append(Chart("Users", "users", [one.at for one in result.users], [line], steps=True))
    return charts


def _of(at: float, seconds: Mapping[float, Second], name: str, otherwise: float) -> float:
    return float(getattr(seconds[at], name)) if at in seconds else otherwise


def _within(one: Series, since: float, until: float) -> Series:
    """The samples of a time."""
    places = [i for i, at in enumerate(one.at) if since <= at <= until]
    return Series(
        one.name,
        one.label,
        one.engine,
        one.version,
        one.measures,
        [one.at[i] for i in places],
        {name: [values[i] for i in places] for name, values in one.columns.items()},
        [wait for wait in one.waits if since <= wait[0] <= until],
    )


def server_charts(one: Series) -> list[Chart]:
    """Measures of one group and unit on one chart; what was zero all the time, or never known, is on none."""
    groups: dict[tuple[str, str], list[Line]] = {}
    abouts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for measure in one.measures:
        values = one.columns.get(measure.name, [])
        if any(values):
            key = (measure.group or measure.name, measure.unit)
            groups.setdefault(key, []).append(Line(measure.name, values))
            abouts[key] += [f"{measure.name}: {measure.about}"] * bool(measure.about)
    charts = [
        Chart(
            _title(name),
            unit,
            one.at,
            lines[:MOST_LINES],
            top=100 if unit == "%" and all((v or 0) <= 100 for line in lines for v in line.values) else None,
            about="; ".join(dict.fromkeys(abouts[name, unit])),
        )
        for (name, unit), lines in groups.items()
    ]
    return charts + ([waits] if (waits := _waits_chart(one)) else [])


def _title(name: str) -> str:
    said = name.replace("_", " ")
    return {"cpu": "Processors", "io": "Input and output"}.get(said, said[:1].upper() + said[1:])


def _waits_chart(one: Series) -> Chart | None:
    sums: dict[str, float] = defaultdict(float)
    for _, what, sessions in one.waits:
        sums[what] += sessions
    names = sorted(sums, key=lambda name: -sums[name])[:6]
    places = {round(at, 3): i for i, at in enumerate(one.at)}
    lines = {name: [0.0] * len(one.at) for name in names}
    for at, what, sessions in one.waits:
        if what in lines and round(at, 3) in places:
            lines[what][places[round(at, 3)]] += sessions
    if not names or not one.at:
        return None
    return Chart("What sessions waited for", "sessions", one.at, [Line(name, lines[name]) for name in names])


def monitor_view(
    series: Sequence[Series], run: Mapping[str, Any], numbers: Mapping[str, int], loads: Sequence[LoadView] = ()
) -> MonitorView | None:
    """All series of a run, and when its cases and its load ran. ``numbers``: of the cases on the page, by their ids."""
    times = [at for one in series for at in one.at]
    if not series:
        return None
    group = Group("monitor-charts", min(times, default=0.0), max(times, default=0.0))
    group.marks = case_marks(run, numbers) + [
        Mark(load.result.began, load.group.until, load.name, f"#load-{load.number}", load.result.status)
        for load in loads
    ]
    watched = []
    for one in series:
        charts = server_charts(one)
        if charts:
            group.heads[len(group.charts)] = one.label
            group.charts += [thinned(chart) for chart in charts]
        known = {m.name: [v for v in one.columns.get(m.name, []) if v is not None] for m in one.measures}
        watched.append(
            Watched(
                series=one,
                cost=_cost(one),
                waits=_waits(one),
                statements=sorted(one.statements, key=lambda s: -s.milliseconds)[:MOST_STATEMENTS],
                quiet=[m.name for m in one.measures if known[m.name] and not any(known[m.name])],
                unknown=[m.name for m in one.measures if not known[m.name]],
                facts=_peaks(one),
            )
        )
    return MonitorView(watched, group)


def case_marks(run: Mapping[str, Any], numbers: Mapping[str, int]) -> list[Mark]:
    """When the cases of a run ran, as far as their lines say it."""
    marks = []
    for line in run.get("cases", []):
        began = line.get("began")
        if isinstance(began, int | float):
            ident = str(line["id"])
            link = f"#case-{numbers[ident]}" if ident in numbers else ""
            until = began + float(line.get("seconds") or 0)
            marks.append(Mark(began, until, ident, link, str(line.get("status", ""))))
    return sorted(marks, key=lambda mark: mark.since)


def _cost(one: Series) -> str:
    cost = one.cost
    if cost is None:
        return "what sampling cost is not known"
    failed = f", {cost.failed} of them failed" if cost.failed else ""
    return (
        f"{words.counted(cost.samples, 'sample')}{failed}; one took {number(cost.milliseconds)} ms "
        f"(at most {number(cost.most)} ms): {cost.share * 100:.2g} % of the time"
    )


def _waits(one: Series) -> list[tuple[str, str, str]]:
    sums: dict[str, float] = defaultdict(float)
    most: dict[str, float] = defaultdict(float)
    for _, what, sessions in one.waits:
        sums[what] += sessions
        most[what] = max(most[what], sessions)
    samples = max(len(one.at), 1)
    return [
        (what, number(sums[what] / samples), number(most[what])) for what in sorted(sums, key=lambda name: -sums[name])
    ][:MOST_STATEMENTS]


def _peaks(one: Series) -> list[tuple[str, str]]:
    """The greatest value of the first few measures, for the overview."""
    peaks = []
    for measure in one.measures:
        values = [v for v in one.columns.get(measure.name, []) if v is not None]
        if values and max(values) > 0:
            peaks.append((measure.name.replace("_", " "), _with_unit(max(values), measure.unit)))
    return peaks[:6]


def _with_unit(value: float, unit: str) -> str:
    """``31 MB``, ``4,127/s``; a count of things is only the number, since the measure's name says of what."""
    if unit.startswith("1/"):
        return f"{number(value)}{unit[1:]}"
    counts = len(unit) > 2 and unit.endswith("s")
    return number(value) if counts or not unit else f"{number(value)} {unit}"
