"""The report of a run as one HTML page that opens from disk: nothing from outside, light and dark, printable.

With its script it shows one view at a time; without it all of them stand below each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.etl.kept import EtlRecord
from harness.evidence.model import Evidence
from harness.evidence.store import in_full
from harness.exploring.model import Exploration
from harness.load.result import LoadResult
from harness.monitor.series import Series
from harness.plans.model import PlanPair
from harness.report import assets, charts, machines, overview, words
from harness.report.cases import MOST_READS, SIGN, case_of, pack, told
from harness.report.compare import Differences
from harness.report.etl import etl_views
from harness.report.explorations import exploration_views
from harness.report.load import load_views, monitor_view
from harness.report.pairs import milliseconds, pair_views
from harness.report.reading import paired
from harness.report.specifications import separated, specifications
from harness.report.workloads import workload_views
from harness.vocabulary import PRODUCTS
from harness.workloads.result import WorkloadResult

_SEPARATE = 4  # cases in one cell of the matrix; more are counted
_MOST_RAW = 100_000  # characters of a raw plan that the page shows
_MOST_CHANGES = 200
_MOST_UNMET = 12
MATRIX = "matrix.html"
"""The isolation matrix's own page, beside this one, if the run has one."""


@dataclass(slots=True)
class Extras:
    """What a run has beside its cases. ``folder`` is the run's own, where pictures of plans lie."""

    folder: Path | None = None
    pairs: list[PlanPair] = field(default_factory=list)
    loads: list[LoadResult] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    etl: list[EtlRecord] = field(default_factory=list)
    workloads: list[WorkloadResult] = field(default_factory=list)
    explorations: list[Exploration] = field(default_factory=list)
    before: Path | None = None  # the run to compare with
    changes: Differences | None = None
    problems: list[str] = field(default_factory=list)  # what could not be read, one line each


@cache
def environment() -> Environment:
    """The templates' environment: everything is escaped, what is unknown is an error."""
    made = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clean"] = words.clean
    made.globals.update(
        counted=words.counted,
        signs=SIGN,
        products=PRODUCTS,
        number=charts.number,
        clock=charts.clock,
        style_of=charts.style_of,
        chart_svg=charts.chart_svg,
        rows=charts.rows,
        island=assets.island,
        milliseconds=milliseconds,
        order=machines.ORDER,
        unknown=machines.UNKNOWN,
        most_reads=MOST_READS,
        most_raw=_MOST_RAW,
        most_changes=_MOST_CHANGES,
        linked=True,
    )
    return made


def numbers(run: Mapping[str, Any], evidences: Sequence[Evidence]) -> dict[str, int]:
    """The number that each case has on the page, by its id."""
    ordinary, _ = separated(paired(run, evidences))
    return {str(line["id"]): number for number, (line, _) in enumerate(ordinary, 1)}


def report_html(
    run: Mapping[str, Any],
    evidences: Sequence[Evidence],
    pictures: Mapping[str, Sequence[str]] | None = None,
    extras: Extras | None = None,
) -> str:
    """The page of a run. ``run`` is what run.json holds; a case of it without evidence is listed, not drawn.

    A specification's permutations are listed; some of those that did not pass are told in full. The page links the
    ``pictures`` that their folders have, by default those that their lines speak of. Everything that came from a
    server or a scenario is escaped by the template.
    """
    extras = extras or Extras()
    ordinary, permutations = separated(paired(run, evidences))
    cases = [case_of(number, *one) for number, one in enumerate(ordinary, 1)]
    wanted = {id(line) for line in in_full([line for line, _ in permutations])}
    in_detail = [one for one in permutations if id(one[0]) in wanted]
    places = {id(line): number for number, (line, _) in enumerate(in_detail, len(cases) + 1)}
    listed = specifications(permutations, pictures, places)
    special = [told(places[id(line)], line, evidence) for line, evidence in in_detail]
    pack([*cases, *special])
    statuses = Counter(
        [case.status for case in cases]
        + [str(line["status"]) for line, _ in permutations]
        + [pair.status for pair in extras.pairs]
        + [load.status for load in extras.loads]
        + [one.status for one in extras.etl if one.status]
        + [one.status for one in extras.workloads]
    )
    counts = {status: statuses[status] for status in SIGN}
    pairs = pair_views(extras.pairs)
    by_id = {str(line["id"]): number for number, (line, _) in enumerate(ordinary, 1)}
    places_known = overview.places(evidences)
    labels = overview.labels(extras.pairs, extras.loads, extras.series, extras.etl, extras.workloads)
    loads = load_views(extras.loads, extras.series)
    script = assets.script("charts.js", "page.js")
    styles = [assets.style()]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            cases=cases,
            specifications=listed,
            told=special,
            untold=sum(line["status"] != "passed" for line, _ in permutations) - len(special),
            named=Counter(one.name for one in listed),
            several=len({one.where for one in listed}) > 1,
            matrix=overview.matrix(cases),
            isolation=MATRIX if extras.folder and (extras.folder / MATRIX).is_file() else "",
            separate=_SEPARATE,
            unmet=overview.unmet([*cases, *special], extras.pairs, extras.loads, extras.etl, extras.workloads),
            most_unmet=_MOST_UNMET,
            slowest=overview.slowest(cases),
            counts=counts,
            shares=overview.shares(counts),
            places=places_known + overview.more_places(places_known, labels),
            hosts=overview.hosts(run, evidences),
            headline=overview.headline(
                run,
                cases,
                permutations,
                listed,
                len(extras.pairs),
                len(extras.loads),
                extras.etl,
                len(extras.workloads),
                len(extras.explorations),
            ),
            pairs=pairs,
            loads=loads,
            etl=etl_views(extras.etl),
            workloads=workload_views(extras.workloads),
            explorations=exploration_views(extras.explorations),
            monitor=monitor_view(extras.series, run, by_id, loads),
            changes=extras.changes,
            problems=extras.problems,
            policy=assets.policy([assets.FIRST, script], styles),
            styles=[Markup(one) for one in styles],
            first=Markup(assets.FIRST),
            script=Markup(script),
        )
    )
