"""The overview: what ran where, the matrix of scenario, engine and level, the slowest cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from harness.etl.kept import EtlRecord
from harness.evidence.model import Evidence
from harness.load.result import LoadResult
from harness.monitor.series import Series
from harness.plans.model import PlanPair
from harness.report import machines, words
from harness.report.cases import Case
from harness.report.columns import cut
from harness.report.etl import failures
from harness.report.specifications import Listed, Specification
from harness.vocabulary import ENGINES, PRODUCTS, REAL_ENGINE, label
from harness.workloads.result import WorkloadResult

SLOWEST = 8
_UNMET = 240  # characters of what was not met


@dataclass(slots=True)
class Family:
    """The rows of one family: a scenario, and for each column its cases."""

    name: str
    rows: list[tuple[str, list[list[Case]]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Scenarios down, engine and level across; each cell holds the cases of both."""

    columns: list[tuple[str, str]]
    families: list[Family]

    @property
    def engines(self) -> list[tuple[str, int]]:
        """The engines, each with how many columns it has."""
        return [(engine, len(list(some))) for engine, some in groupby(self.columns, key=lambda column: column[0])]

    @property
    def first(self) -> set[int]:
        """The columns that an engine begins with."""
        return {
            i for i, (engine, _) in enumerate(self.columns) if i == 0 or self.columns[i - 1][0] != engine
        }  # fmt: skip


def matrix(cases: Sequence[Case]) -> Matrix:
    """The cases by scenario, in the order of the run, under their families."""
    columns = sorted({(case.engine, case.level) for case in cases}, key=_rank)
    cells: dict[tuple[str, str], dict[tuple[str, str], list[Case]]] = {}
    for case in cases:
        cells.setdefault((case.scenario, case.file), {}).setdefault((case.engine, case.level), []).append(case)
    named = Counter(scenario for scenario, _ in cells)
    families: dict[str, Family] = {}
    for (scenario, file), row in cells.items():
        family = next(iter(row.values()))[0].family
        shown = file if named[scenario] > 1 else scenario
        one = families.setdefault(family, Family(family))
        one.rows.append((shown, [row.get(column, []) for column in columns]))
    return Matrix(columns, list(families.values()))


_WEAKEST_FIRST = (
    "read uncommitted",
    "local",
    "read committed",
    "read committed snapshot",
    "majority",
    "snapshot",
    "repeatable read",
    "serializable",
)


def _rank(column: tuple[str, str]) -> tuple[int, int, str, int, str]:
    """Engines in the house's order, one alone before several together; levels from the weakest on."""
    engine, level = column
    names = [name.strip().removesuffix("-standin") for name in engine.split("+")]
    place = min((ENGINES.index(name) for name in names if name in ENGINES), default=len(ENGINES))
    weak = _WEAKEST_FIRST.index(level) if level in _WEAKEST_FIRST else len(_WEAKEST_FIRST)
    return len(names), place, engine, weak, level


@dataclass(frozen=True, slots=True)
class Unmet:
    """Something that is not as expected, and where the page tells it."""

    status: str
    name: str
    link: str
    summary: str


def unmet(
    cases: Iterable[Case],
    pairs: Sequence[PlanPair],
    loads: Sequence[LoadResult],
    etl: Sequence[EtlRecord] = (),
    workloads: Sequence[WorkloadResult] = (),
) -> list[Unmet]:
    """All that did not pass: what failed before what could not be judged."""
    made = [Unmet(one.status, one.id, f"#case-{one.number}", one.summary) for one in cases if one.status != "passed"]
    made += [
        _unmet_beside(one, one.id, f"#plan-{place}") for place, one in enumerate(pairs, 1) if one.status != "passed"
    ]
    made += [
        _unmet_beside(one, one.name, f"#load-{place}") for place, one in enumerate(loads, 1) if one.status != "passed"
    ]
    made += [
        Unmet(one.status, one.title or one.name, f"#etl-{place}", cut(failures(one), _UNMET))
        for place, one in enumerate(etl, 1)
        if one.status not in ("", "passed")
    ]
    made += [_unmet_beside(one, one.id, "#workloads") for one in workloads if one.status != "passed"]
    return sorted(made, key=lambda one: one.status != "failed")


def _unmet_beside(one: PlanPair | LoadResult | WorkloadResult, name: str, link: str) -> Unmet:
    return Unmet(one.status, name, link, cut("; ".join(said.partition("\n")[0] for said in one.mismatches), _UNMET))


def slowest(cases: Sequence[Case]) -> list[Case]:
    """The cases that took longest; of a few, none are worth a list."""
    return sorted(cases, key=lambda case: -case.seconds)[:SLOWEST] if len(cases) > SLOWEST // 2 else []


def headline(
    run: Mapping[str, Any],
    cases: Sequence[Case],
    permutations: Sequence[Listed],
    listed: Sequence[Specification],
    pairs: int = 0,
    loads: int = 0,
    etl: Sequence[EtlRecord] = (),
    workloads: int = 0,
    explorations: int = 0,
) -> str:
    """When it ran, how long, how much."""
    seconds = f"{float(run['seconds']):.1f} s" if run.get("seconds") else ""
    facts = [str(run.get("started") or ""), seconds]
    if cases or not (permutations or pairs or loads or etl or workloads):
        facts.append(words.counted(len(cases), "case"))
    if permutations:
        facts.append(words.permutations(len(permutations), len(listed)))
    facts += [words.counted(pairs, "pair") + " of plans"] if pairs else []
    facts += [words.counted(loads, "load run")] if loads else []
    facts += [words.counted(workloads, "random workload")] if workloads else []
    facts += [words.counted(explorations, "exploration")] if explorations else []
    rounds = sum(not one.earlier for record in etl for one in record.rounds)
    facts += [words.counted(rounds, "round") + " of the ETL"] if etl else []
    return ", ".join(fact for fact in facts if fact)


def places(evidences: Sequence[Evidence]) -> list[tuple[str, str]]:
    """Every database that a case ran on, and what it stands in for."""
    return list(
        dict.fromkeys(
            (words.where(database, stand_in=False), words.stands_for(database))
            for evidence in evidences
            for database in evidence.history.databases
        )
    )


def more_places(known: Sequence[tuple[str, str]], labels: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Databases that no case ran on: each with its label (``promptads@postgresql-standin``) and its version, if known."""
    told = {text.partition(",")[0] for text, _ in known}
    made = []
    for name, version in labels:
        if name in told or "@" not in name:
            continue
        told.add(name)
        real = REAL_ENGINE.get(name.partition("@")[0], "") if name.endswith("-standin") else ""
        made.append((words.one_line(f"{name}, {version}" if version else name), PRODUCTS.get(real, real)))
    return made


def labels(
    pairs: Iterable[PlanPair],
    loads: Iterable[LoadResult],
    series: Iterable[Series],
    etl: Iterable[EtlRecord] = (),
    workloads: Iterable[WorkloadResult] = (),
) -> Iterator[tuple[str, str]]:
    """The databases that these speak of, as :func:`more_places` takes them."""
    for one in series:
        yield from ((name, one.version) for name in one.label.split(", "))
    for pair in pairs:
        yield label(pair.logical, pair.engine, stand_in=bool(pair.stand_in)), pair.version
    for load in loads:
        yield from ((kind.database, "") for kind in load.requests)
    for workload in workloads:
        name = label(workload.logical, workload.engine, stand_in=bool(workload.stand_in))
        yield name, workload.version
    for rounds in etl:
        yield from ((name, "") for name in (rounds.database, *rounds.sources))


def hosts(run: Mapping[str, Any], evidences: Sequence[Evidence]) -> list[str]:
    """The machines that had a part in the run."""
    told = [str(host) for host in run.get("hosts", [])]
    told = told or list(dict.fromkeys(s.host for e in evidences for s in e.history.sessions if s.host))
    return machines.with_those_of(evidences, told)


@dataclass(frozen=True, slots=True)
class Share:
    """A piece of the bar that shows how the verdicts are shared out, in thousandths of it."""

    status: str
    x: float
    width: float


def shares(counts: Mapping[str, int]) -> list[Share]:
    """The bar of verdicts; nothing if there are none."""
    whole = sum(counts.values())
    made, x = [], 0.0
    for status, count in counts.items():
        if count:
            width = 1000 * count / whole
            made.append(Share(status, round(x, 2), round(width, 2)))
            x += width
    return made
