"""What a run keeps beside its cases, made by code: load, a monitor's series, pairs of plans; and whole runs of all of it.

``python -m tests.report.beside FOLDER`` writes two small runs there, the newer one with a page of everything.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.evidence.model import Evidence, Status
from harness.evidence.store import Store, read_run
from harness.load.result import LoadResult, Requests, Second, Users, write_result
from harness.monitor.series import Cost, Measure, Series, TopStatement, write_series
from harness.plans.model import Access, Node, Plan, PlanPair, Side, Timing
from harness.plans.store import write_pair
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg
from harness.report.whole import whole_report

from .samples import SAMPLES, cascade, hidden, lost_update, many_steps

BEGAN = 1784975467.0
HOSTILE = "</script><script>alert(1)</script>\u2028<img src=x onerror=alert(2)>\"'&amp;\x1b[31m"


def load_result(
    name: str = "december",
    *,
    began: float = BEGAN,
    seconds: int = 120,
    rate: float = 400,
    slow: float = 1.0,
    title: str = "",
) -> LoadResult:
    """A peak: more and more requests, some refused, slower at the top."""
    chance = random.Random(name)
    kinds = []
    for number, (task, share) in enumerate(
        (
            ("read campaign", 0.5),
            ("register sale", 0.2),
            ("transfer budget", 0.15),
            ("find clients near", 0.1),
            ("dashboard", 0.05),
        )
    ):
        entries = []
        for second in range(seconds):
            peak = 0.25 + 0.75 * math.sin(math.pi * second / seconds) ** 2
            done = max(round(rate * share * peak * chance.uniform(0.9, 1.1)), 0)
            middle = (2 + 6 * number) * slow * (0.6 + 1.5 * peak**3) * chance.uniform(0.9, 1.15)
            retried = chance.randrange(0, 4) if number in (1, 2) and peak > 0.6 else 0
            entries.append(
                Second(
                    at=began + second,
                    done=done,
                    failed=int(retried > 2),
                    retried=retried,
                    p50=middle if done else None,
                    p95=middle * 2.6 if done else None,
                    p99=middle * 4.1 if done else None,
                    most=middle * 7 if done else None,
                )
            )
        total = sum(entry.done for entry in entries)
        mean = sum(entry.p50 or 0 for entry in entries) / len(entries)
        retries = sum(entry.retried for entry in entries)
        kinds.append(
            Requests(
                name=task,
                database="promptsales@postgresql" if number in (0, 4) else "promptcrm@postgresql-standin",
                done=total,
                failed={"deadlock": sum(entry.failed for entry in entries)} if retries else {},
                retried={"deadlock": retries * 2 // 3, "serialization": retries // 3} if retries else {},
                mean=mean,
                least=mean / 3,
                most=mean * 12,
                percentiles={"50": mean, "90": mean * 2, "95": mean * 2.6, "99": mean * 4.1, "99.9": mean * 9},
                seconds=entries,
            )
        )
    steps = 12
    return LoadResult(
        name=name,
        title=title or "The December peak",
        file=f"scenarios/load/{name}.yaml",
        arrivals="open: 400 a second at the top, counted from when each was to begin",
        shape="december peak",
        processes=2,
        began=began,
        seconds=float(seconds),
        requests=kinds,
        users=[
            Users(at=began + i * seconds / steps, users=round(4 + 60 * math.sin(math.pi * i / steps)))
            for i in range(steps)
        ],
        intended=sum(kind.done for kind in kinds) + 12,
        late=7,
        notes=["the generator itself used 61 % of one core"],
    )


def series(name: str = "promptcrm", *, began: float = BEGAN, seconds: int = 120, label: str = "") -> Series:
    """A server under that load: one sample a second, one of them missed."""
    chance = random.Random(name)
    measures = [
        Measure("active", "sessions", "sessions", "that run a statement"),
        Measure("waiting", "sessions", "sessions", "that wait for another session"),
        Measure("commits", "1/s", "transactions"),
        Measure("rollbacks", "1/s", "transactions"),
        Measure("cache_hit", "%", "cache hit ratio", "of pages that were asked for"),
        Measure("deadlocks", "1/s", "deadlocks"),
        Measure("temporary_files", "1/s", "temporary files"),
        Measure("replication_lag", "s", "replication"),
    ]
    made = Series(name, label or f"{name}@postgresql-standin", "postgresql", "PostgreSQL 18.6", measures)
    made.columns = {measure.name: [] for measure in measures}
    for second in range(seconds):
        peak = 0.25 + 0.75 * math.sin(math.pi * second / seconds) ** 2
        made.at.append(began + second + 0.2)
        known = second != 40
        values = {
            "active": round(24 * peak * chance.uniform(0.8, 1.2)),
            "waiting": round(7 * peak**4 * chance.uniform(0.3, 1.5)),
            "commits": 380 * peak * chance.uniform(0.93, 1.05),
            "rollbacks": 4 * peak**3 * chance.uniform(0, 1.6),
            "cache_hit": 99.4 - 3 * peak * chance.random(),
            "deadlocks": float(chance.random() < 0.08 * peak),
            "temporary_files": 0.0,
        }
        for measure in measures:
            made.columns[measure.name].append(values.get(measure.name) if known else None)
        for what, share in (("Lock: transactionid", 5.0), ("IO: WALSync", 2.0), ("LWLock: WALWrite", 1.0)):
            if sessions := round(share * peak**3 * chance.random()):
                made.waits.append((made.at[-1], what, sessions))
    made.statements = [
        TopStatement("UPDATE sale SET status = $1 WHERE id = $2", 18233, 41200.5, 18233),
        TopStatement("CALL register_sales($1, $2)", 7121, 20110.2, None),
        TopStatement("SELECT id, name FROM client ORDER BY place <-> point($1, $2) LIMIT $3", 3510, 9120.0, 35100),
    ]
    made.cost = Cost(samples=seconds, failed=1, milliseconds=2.31, most=9.8, share=0.0023)
    made.notes = ["replication_lag: there is no replica"]
    return made


def host_series(*, began: float = BEGAN, seconds: int = 120) -> Series:
    """The machine that all of it ran on."""
    chance = random.Random("host")
    measures = [
        Measure("cpu", "%", "processor"),
        Measure("memory", "MB", "memory", "in use"),
    ]
    made = Series("host", "this machine", "host", "Linux, 2 cores", measures)
    made.at = [began + second + 0.4 for second in range(seconds)]
    made.columns = {
        "cpu": [
            min(100.0, 20 + 75 * math.sin(math.pi * s / seconds) ** 2 * chance.uniform(0.9, 1.1))
            for s in range(seconds)
        ],
        "memory": [2100 + 4.0 * s for s in range(seconds)],
    }
    made.cost = Cost(samples=seconds, failed=0, milliseconds=0.21, most=1.1, share=0.0002)
    return made


def plan(*, seek: bool) -> Plan:
    """A join that scans a table, or seeks in its index."""
    if seek:
        sale = Node(
            operator="Index Scan", access=Access.seek, object="sale", index="ix_sale_client", detail="client_id = client.id",
            estimated_rows=12, actual_rows=11, loops=40, milliseconds=0.8, own_milliseconds=0.8, buffers=160, reads=0,
        )  # fmt: skip
    else:
        sale = Node(
            operator="Seq Scan", access=Access.scan, object="sale", detail="client_id = client.id", estimated_rows=20,
            actual_rows=441, milliseconds=182.4, own_milliseconds=182.4, buffers=20411, reads=311,
        )  # fmt: skip
    client = Node(
        operator="Index Scan", access=Access.seek, object="client", index="ix_client_place", detail="place near (…)",
        estimated_rows=40, actual_rows=40, milliseconds=0.4, own_milliseconds=0.4, buffers=44, reads=0,
    )  # fmt: skip
    join = Node(
        operator="Nested Loop" if seek else "Hash Join", estimated_rows=441, actual_rows=441,
        milliseconds=1.4 if seek else 190.0, own_milliseconds=0.2, children=[client, sale],
    )  # fmt: skip
    root = Node(
        operator="Sort", detail="sale.day", estimated_rows=441, actual_rows=441, milliseconds=1.6 if seek else 191.1,
        own_milliseconds=0.2, children=[join],
    )  # fmt: skip
    return Plan(
        engine="postgresql", root=root, raw='[{"Plan": {"Node Type": "Sort"}}]', format="json",
        milliseconds=1.7 if seek else 192.0, planning_milliseconds=0.3, rows=441, buffers=204 if seek else 20455,
        reads=0 if seek else 311,
    )  # fmt: skip


def pair(name: str = "sales_of_clients_near", *, status: str = "passed", backwards: bool = False) -> PlanPair:
    """A pair; ``backwards``: its index is no longer used."""
    return PlanPair(
        id=f"{name}[promptcrm@postgresql-standin-full]",
        name=name,
        title="The sales of clients near a place",
        about="The dashboard asks for them on every page.",
        file="scenarios/plans/sales.yaml",
        logical="promptcrm",
        engine="postgresql",
        version="18.6",
        stand_in="sqlserver",
        size="full",
        statement="SELECT … FROM client c JOIN sale s ON s.client_id = c.id WHERE place <-> point($1, $2) < $3 ORDER BY day",
        parameters=["9.93", "-84.08", "0.1"],
        before=Side(
            index="without ix_sale_client",
            plan=plan(seek=False),
            timing=Timing(runs=7, median=190.2, least=181.0, most=204.4),
        ),
        after=Side(
            index="CREATE INDEX ix_sale_client ON sale (client_id)",
            plan=plan(seek=not backwards),
            timing=Timing(runs=7, median=1.52, least=1.41, most=1.9),
        ),
        findings=[
            "sale: scan → seek by ix_sale_client",
            "buffers 20,455 → 204",
            "rows of sale misestimated 22× before",
        ],
        status=status,
        mismatches=[] if status == "passed" else ["sale was expected to be sought in, and was scanned"],
    )


def hostile_load() -> LoadResult:
    """A load run whose every text wants out of its place."""
    made = load_result("hostile", seconds=8, title=HOSTILE)
    kinds = [kind.model_copy(update={"name": HOSTILE, "failed": {HOSTILE: 1}}) for kind in made.requests[:1]]
    return made.model_copy(update={"requests": kinds, "notes": [HOSTILE], "arrivals": HOSTILE, "shape": HOSTILE})


def hostile_series() -> Series:
    """A server's series the same."""
    made = series("hostile", seconds=8, label=HOSTILE)
    made.measures[0] = Measure("active", HOSTILE, HOSTILE, HOSTILE)
    made.waits = [(made.at[0], HOSTILE, 2)]
    made.statements = [TopStatement(HOSTILE, 1, 1.0)]
    made.notes = [HOSTILE]
    return made


def hostile_pair() -> PlanPair:
    """A pair of plans the same."""
    texts = dict.fromkeys(("id", "title", "about", "statement", "version", "size", "file", "name"), HOSTILE)
    made = pair().model_copy(update={**texts, "parameters": [HOSTILE], "findings": [HOSTILE], "mismatches": [HOSTILE]})
    bad = made.before.model_copy(
        update={
            "index": HOSTILE,
            "plan": made.before.plan.model_copy(
                update={"raw": HOSTILE, "root": Node(operator=HOSTILE, object=HOSTILE)}
            ),
        }
    )
    return made.model_copy(update={"before": bad, "after": bad})


def kept_run(
    root: Path,
    run: str,
    evidences: Iterable[Evidence],
    *,
    loads: Sequence[LoadResult] = (),
    watched: Sequence[Series] = (),
    pairs: Sequence[PlanPair] = (),
    began: float = BEGAN,
) -> Path:
    """A run's folder as a run leaves it, with its page."""
    store = Store(root, run)
    store.open()
    for number, one in enumerate(evidences):
        pictures = {"timeline.svg": timeline_svg(one), "waits.svg": waits_svg(one)}
        store.keep(one.model_copy(update={"run": run}), pictures, max(one.history.seconds, 0.05), began + number * 0.4)
    for load in loads:
        write_result(store.folder, load)
    for one in watched:
        write_series(store.folder, one)
    for each in pairs:
        write_pair(store.folder, each, {})
    store.close(
        {
            "started": "2026-07-25T10:31:06+00:00",
            "seconds": 132.4,
            "versions": {"harness": "0.1.0", "python": "3.11.7"},
            "hosts": ["alpha"],
            "servers": "embedded",
            "options": {"arguments": ["scenarios"]},
        }
    )
    store.write("report.html", whole_report(store.folder, *read_run(store.folder, permutations=False)))
    return store.folder


def evidences_of_all() -> list[Evidence]:
    """One of each sample."""
    return [make() for make in SAMPLES.values()]


def two_runs(root: Path) -> Path:
    """An older run, and a newer one in which a case got worse, a plan lost its index, load got slower. Gives the newer."""
    older = [one for one in evidences_of_all() if one.history.scenario != "ring"]
    better = lost_update()
    fine = better.verdict.model_copy(
        update={"status": Status.passed, "summary": "as expected", "anomalies": [], "mismatches": []}
    )
    older = [
        one.model_copy(update={"verdict": fine}) if one.history.scenario == "lost_update" else one for one in older
    ]
    both = [series("promptcrm"), series("promptsales", label="promptsales@postgresql"), host_series()]
    kept_run(root, "20260725103106aaaa", older, loads=[load_result()], watched=both, pairs=[pair(), pair("unchanged")])
    slow = load_result(rate=300, slow=1.8)
    return kept_run(
        root,
        "20260726103106bbbb",
        evidences_of_all(),
        loads=[slow, load_result("ramp", began=BEGAN + 10, seconds=60, title="A ramp")],
        watched=both,
        pairs=[pair(backwards=True, status="failed"), pair("unchanged")],
    )


def thousand(root: Path, number: int = 1000) -> Path:
    """A run of many varied cases: of every family, engine and level, every 29th of them not as expected."""
    makes = [cascade, hidden, lost_update, *(make for name, make in SAMPLES.items() if name not in ("ring", "nasty"))]
    made = []
    for place in range(number):
        one = many_steps(2 + place % 4, 2 + place % 9) if place % 5 == 4 else makes[place % len(makes)]()
        level = ("read committed", "repeatable read", "serializable")[place % 3]
        family = ("deadlock", "dirty_read", "incorrect_summary", "isolation", "lost_update")[place % 5]
        name = f"scenario_{place // 6:03}"
        engine = one.history.databases[0].engine
        history = one.history.model_copy(
            update={
                "case": f"{name}[promptsales@{engine}-{level.replace(' ', '_')}-{place}]",
                "scenario": name,
                "title": f"{one.history.title} ({place})",
                "file": f"scenarios/{family}/{name}.yaml",
                "level": level,
            }
        )
        status = Status.failed if place % 29 == 7 else Status.passed
        verdict = one.verdict.model_copy(update={"status": status})
        made.append(one.model_copy(update={"history": history, "verdict": verdict}))
    return kept_run(root, "20260725103106cccc", made)


if __name__ == "__main__":
    print(two_runs(Path(sys.argv[1])) / "report.html")
