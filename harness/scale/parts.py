"""The parts, each with what it needs: lines through ``measured.json``, limits of ``node.py``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from harness.scale.fit import Fit, fit
from harness.scale.measured import Loading, Measured, known
from harness.scale.model import Axis, Need
from harness.scale.node import HABITS, NODE, Habits, Node, Told

CRM, SALES, ADS, CONTENT, CACHE = "PromptCrm", "PromptSales", "PromptAds", "PromptContent", "cache"
SEEDER, ETL, LOCUST, HARNESS, COHERENCE = "seeder", "ETL", "Locust", "harness", "coherence"

DISK, CPU, MEMORY, CONNECTIONS = "disk", "processors", "memory", "connections"
FILL, FIRST, DELTA, TEMPORARY = "a day to fill", "first round", "a delta", "temporary files"
IDS, LEARNT, RUN, PAGE, EVIDENCE, COMPARED = "ids", "ids learnt", "time of a run", "report page", "evidence", "an hour"
IDS_SEEDED = "ids seeded"

_ON = {"seller": CRM, "planner": ADS, "analyst": SALES, "visitor": SALES, "searcher": SALES}


def needs(measured: Measured, node: Node = NODE, habits: Habits = HABITS) -> list[Need]:
    """Everything that the model knows. Raises DataError if something was not measured."""
    return [
        *_stored(measured, node),
        *_asked(measured, node, habits),
        *_moved(measured, node, habits),
        *_generated(measured, node, habits),
        *_run(measured, node),
    ]


def _line(points: Iterable[tuple[float, float]]) -> Fit:
    return fit(points)


def _share(of: Told, node: Node, what: str) -> tuple[float, str]:
    return of.value * node.full.value, f"{what}, {node.full.value:.0%} of it"


def _over(axis: Axis, line: Fit) -> dict[Axis, tuple[float, float]]:
    return {axis: (line.least, line.most)}


def _stored(measured: Measured, node: Node) -> Iterator[Need]:
    """What lies on disks, and the time in which the seeder brings it there."""
    seeding = known(measured.seeding, "seeding")
    disk, said = _share(node.disk, node, f"{node.disk.value / 1e9:.0f} GB")
    for part, name in ((CRM, "promptcrm"), (SALES, "promptsales")):
        line = _line((one.clients, sum(one.bytes[name].values())) for one in seeding)
        slope, base, by = line.slope, line.base, "tables and indexes after the seeder"
        if part == SALES:
            facts = _line((one.clients, one.facts + one.staged) for one in known(measured.first, "first rounds"))
            slope, base, by = (
                slope + facts.slope,
                base + facts.base,
                "tables, the ETL's facts, and its staging in a first round",
            )
        yield Need(part, DISK, "bytes", disk, said, by, base, slope, off=line.off, reach=_over("clients", line))
    line = _line((one.clients, one.workers_cpu + sum(one.server_cpu.values())) for one in seeding)
    cores, said = _share(
        Told(node.cores.value * node.day.value, ""), node, f"{node.cores.value:.0f} processors for a day"
    )
    yield Need(
        SEEDER, FILL, "processor s", cores, said, "the seeder's processes and both servers", line.base, line.slope,
        off=line.off, reach=_over("clients", line),
    )  # fmt: skip
    for resource, told in ((IDS, node.ids), (IDS_SEEDED, node.seeder)):
        part = SEEDER if resource == IDS_SEEDED else CRM
        yield Need(
            part, resource, "ids", told.value, told.source, "counted: one for each client", clients=1.0,
            reach=_over("clients", line), shared_out=False,
        )  # fmt: skip
    agreeing = known(measured.agreeing, "coherence")
    line = _line((one.clients, one.wall) for one in agreeing)
    yield Need(
        COHERENCE, COMPARED, "s", node.patience.value, "an hour", "harness check coherence, by the clock", line.base,
        line.slope, off=line.off, reach=_over("clients", line), shared_out=False,
    )  # fmt: skip


def _mixed(measured: Measured) -> list[Loading]:
    return [one for one in known(measured.loading, "load") if not one.kind]


def _alone(measured: Measured) -> dict[str, Loading]:
    return {one.kind: one for one in measured.loading if one.kind}


def shares(mix: Mapping[str, int]) -> dict[str, float]:
    """Of the users, how many have a connection to each SQL database.

    >>> shares({"seller": 1, "analyst": 3})
    {'PromptCrm': 0.25, 'PromptSales': 0.75}
    """
    total = sum(mix.values())
    made: dict[str, float] = {}
    for kind, weight in mix.items():
        if kind in _ON:
            made[_ON[kind]] = made.get(_ON[kind], 0.0) + weight / total
    return made


def server_share(measured: Measured) -> float:
    """Of the processors' seconds of the server that PromptAds and PromptSales had in common, PromptSales's part."""
    alone, mix = _alone(measured), measured.day.mix

    def spent(kind: str, name: str) -> float:
        return mix.get(kind, 0) * alone[kind].server_cpu.get(name, 0.0) / alone[kind].seconds if kind in alone else 0.0

    sales = sum(spent(kind, "promptsales") for kind in ("analyst", "visitor", "searcher"))
    both = sales + spent("planner", "promptads")
    return sales / both if both else 1.0


def _asked(measured: Measured, node: Node, habits: Habits) -> Iterator[Need]:
    """What load users do to the servers."""
    mixed, slower = _mixed(measured), measured.day.think / habits.think.value
    cores, said = _share(node.cores, node, f"{node.cores.value:.0f} processors")
    sales = server_share(measured)
    near = _line(
        (one.clients, one.server_cpu / one.queries)
        for one in known(measured.asking, "queries")
        if one.query == "clients near"
    )
    stand_in = "the day's mix on a stand-in: "
    for part, key, factor, limit, of in (
        (CRM, "promptcrm", 1.0, cores, said),
        (SALES, "promptads+promptsales", sales, cores, said),
        (ADS, "promptads+promptsales", 1 - sales, cores, said),
        (CONTENT, "promptcontent", 1.0, cores, said),
        (CACHE, "cache", 1.0, *_share(node.redis_cores, node, "one thread")),
    ):
        line = _line((one.users, factor * one.server_cpu[key] / one.seconds) for one in mixed)
        by = ("" if part in (SALES, CACHE) else stand_in) + "server's seconds by users"
        reach = _over("users", line)
        both = habits.near_of_task.value / habits.think.value * near.slope if part == CRM else 0.0
        if part == CRM:
            by += "; 'clients near' by clients"
            reach["clients"] = (near.least, near.most)
        yield Need(
            part, CPU, "processors", limit, of, by, 0.0, users=max(line.slope, 0.0) * slower, both=both,
            off=max(line.off, near.off) if part == CRM else line.off, reach=reach,
        )  # fmt: skip
    connected = shares(measured.day.mix)
    for part, told in (
        (CRM, node.sqlserver_connections),
        (SALES, node.postgresql_connections),
        (ADS, node.sqlserver_connections),
    ):
        line = _line((one.users, sum(one.sessions.values())) for one in mixed)
        yield Need(
            part, CONNECTIONS, "connections", told.value, told.source, "a connection for each user", users=connected[part],
            off=line.off, reach=_over("users", line),
        )  # fmt: skip
    memory, said = _share(node.memory, node, f"{node.memory.value / 2**30:.0f} GiB")
    largest = max(mixed, key=lambda one: one.users)
    yield Need(
        SALES, MEMORY, "bytes", memory, said, "what a session has alone", 64 << 20,
        users=connected[SALES] * largest.session_memory["promptads+promptsales"],
        reach={"users": (min(one.users for one in mixed), largest.users)},
    )  # fmt: skip
    a_key = {one.kind: one.memory / one.keys for one in known(measured.caching, "the cache's keys")}
    keys = max(one.keys for one in measured.caching)
    yield Need(
        CACHE, MEMORY, "bytes", memory, said, "a session and a limiter's window for each user; a card for each client",
        clients=a_key["client card"], users=a_key["session"] + a_key["rate limit"],
        reach={"users": (0, keys), "clients": (0, keys)},
    )  # fmt: skip


def _moved(measured: Measured, node: Node, habits: Habits) -> Iterator[Need]:
    """The ETL: its first round, its deltas, what the source lays down meanwhile."""
    first = _line((one.clients, one.seconds) for one in known(measured.hop, "rounds of Hop") if one.first)
    yield Need(
        ETL, FIRST, "s", node.window.value, "the window of 11 minutes", "Hop, by the clock (docs/etl.md)", first.base,
        first.slope, off=first.off, reach=_over("clients", first), shared_out=False,
    )  # fmt: skip
    a_row = _line((one.rows, one.seconds) for one in measured.hop if one.first).slope
    deltas = known(measured.delta, "deltas")
    merged = sum(one.source_cpu + one.target_cpu for one in deltas) / sum(one.rows for one in deltas)
    base = max(one.seconds for one in measured.hop if not one.first)
    window = node.window.value
    yield Need(
        ETL, DELTA, "s", window, "the window of 11 minutes",
        "Hop's base and rows (docs/etl.md), databases' seconds for each row of a delta", base,
        clients=window * habits.rows_of_client.value * (a_row + merged),
        users=window / habits.think.value * habits.rows_of_task.value * (a_row + merged),
        reach={
            "clients": (min(one.clients for one in deltas), 500_000),
            "users": (0, max(one.rows for one in deltas) * habits.think.value // (window * habits.rows_of_task.value)),
        },  # users who leave as many rows as the largest delta had
        shared_out=False,
    )  # fmt: skip
    disk, said = _share(node.disk, node, f"{node.disk.value / 1e9:.0f} GB")
    line = _line((one.clients, one.temporary) for one in known(measured.first, "first rounds"))
    yield Need(
        ETL, TEMPORARY, "bytes", disk, said, "PromptCrm's files while it gives all rows", line.base, line.slope,
        off=line.off, reach=_over("clients", line), shared_out=False,
    )  # fmt: skip


def _generated(measured: Measured, node: Node, habits: Habits) -> Iterator[Need]:
    """Locust."""
    mixed, slower = _mixed(measured), measured.day.think / habits.think.value
    line = _line((one.users, one.locust_cpu / one.seconds) for one in mixed)
    yield Need(
        LOCUST, CPU, "processors", node.locust_core.value, node.locust_core.source, "the day's mix", 0.0,
        users=line.slope * slower, off=line.off, reach=_over("users", line),
    )  # fmt: skip
    memory = node.locust_memory.value
    line = _line((one.users, one.locust_memory) for one in mixed)
    yield Need(
        LOCUST, MEMORY, "bytes", memory, "1 GiB for a worker", "the day's mix", line.base, users=line.slope, off=line.off,
        reach=_over("users", line),
    )  # fmt: skip
    learnt = _line((one.rows, one.peak) for one in known(measured.ids, "ids that Locust learns"))
    yield Need(
        LOCUST, LEARNT, "bytes", memory, "1 GiB for a worker", "SELECT id FROM client, in each process",
        line.base + learnt.base, learnt.slope, off=learnt.off, reach=_over("clients", learnt), shared_out=False,
    )  # fmt: skip


def _run(measured: Measured, node: Node) -> Iterator[Need]:
    """The harness's own runs. All cases were run together, so lines go through the origin."""
    running = known(measured.running, "scenarios")
    cases = running[0].cases
    reach: dict[Axis, tuple[float, float]] = {"cases": (0, cases)}

    def each(values: Iterable[float]) -> float:
        given = list(values)
        return sum(given) / len(given) / cases

    disk, said = _share(node.disk, node, f"{node.disk.value / 1e9:.0f} GB")
    for resource, unit, limit, of, value, by, shared in (
        (
            RUN,
            "s",
            node.patience.value,
            "an hour",
            each(one.wall for one in running),
            "all of scenarios/, one process",
            True,
        ),
        (PAGE, "bytes", node.page.value, "50 MB", each(one.report for one in running), "report.html", False),
        (EVIDENCE, "bytes", disk, said, each(one.evidence for one in running), "results/", True),
    ):
        yield Need(HARNESS, resource, unit, limit, of, by, cases=value, reach=reach, shared_out=shared)
