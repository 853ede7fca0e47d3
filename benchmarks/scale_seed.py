"""Seeding, coherence, queries and the ETL's databases by the number of clients, for benchmarks/scale.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import psycopg
import redis
from scale_tools import Watch

from fixtures.seed import plan_of
from fixtures.seed.run import Place, seed
from harness.runner.furnishing import schema
from harness.scale.measured import Agreeing, Asking, Caching, Contents, Ids, Moving, Seeding
from harness.schemas import PROMPTSALES, Wanted
from harness.servers.base import Target
from harness.suite import Suite

SQL = ("promptads", "promptcrm", "promptsales")
CAMPAIGNS, CONTENTS = 100, 36

_SIZES = """
    SELECT n.nspname || '.' || c.relname, pg_total_relation_size(c.oid)
    FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
"""
_LOG = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
_TEMPORARY = "SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()"


@contextmanager
def databases(suite: Suite, logicals: Sequence[str]) -> Iterator[dict[str, Target]]:
    """Empty ones with their schemas, dropped afterwards; the targets are those of their servers with their own URLs."""
    made = [
        suite.databases.make(one, (), furnishing=schema(PROMPTSALES, Wanted("empty"), server=True)) for one in logicals
    ]
    try:
        yield {
            one.target.logical: Target(
                one.target.logical, one.target.engine, one.url, one.target.stand_in, one.target.origin
            )
            for one in made
        }
    finally:
        for one in made:
            suite.databases.drop(one)


def ask(target: Target, sql: str) -> Any:
    with psycopg.connect(target.url, autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
        return row[0] if row else None


def measure_seed(suite: Suite, sizes: Sequence[int], tiny: bool) -> Mapping[str, object]:
    """Each size once, in this order; after it what is asked of so many clients."""
    found: dict[str, list[Any]] = {"seeding": [], "agreeing": [], "asking": [], "ids": []}
    for clients in sizes:
        with databases(suite, SQL) as targets:
            plan = plan_of("full", clients=clients, campaigns=CAMPAIGNS, contents=CONTENTS)
            places = {name: Place(one.engine, one.url) for name, one in targets.items()}
            # It has nothing of clients, and a server in common with PromptSales: before, so that the rest is PromptSales's.
            seed({"promptads": places.pop("promptads")}, plan, workers=2)
            logs = {name: ask(targets[name], _LOG) for name in places}
            watch = Watch({name: targets[name] for name in places})
            summary = seed(places, plan, workers=2)
            spent = watch.stop()
            sizes_now = {}
            for name, target in targets.items():
                with psycopg.connect(target.url) as connection:
                    sizes_now[name] = {table: int(size) for table, size in connection.execute(_SIZES) if size > 16384}
            found["seeding"].append(
                Seeding(
                    clients=clients,
                    rows=sum(sum(tables.values()) for tables in summary.rows.values()),
                    wall=round(spent.wall, 3),
                    workers_cpu=round(spent.own, 3),
                    worker_peak=max(summary.peaks.values()),
                    server_cpu=spent.servers,
                    bytes=sizes_now,
                    wal={name: int(ask(targets[name], _LOG)) - int(logs[name]) for name in places},
                )
            )
            print(found["seeding"][-1].clients, "clients seeded:", round(spent.wall, 1), "s", file=sys.stderr)
            found["agreeing"].append(_agree(targets, clients))
            found["asking"] += _asked(targets["promptcrm"], clients)
            found["ids"].append(_learn(targets["promptcrm"], clients))
    found["caching"] = _cache(suite)
    found["contents"] = [] if tiny else [_contents(suite)]
    return found


def _agree(targets: Mapping[str, Target], clients: int) -> Agreeing:
    """In a process of its own: its memory is only its own."""
    code = (
        "import json, sys; from harness.promptsales.coherence import check; from fixtures.seed.work import peak_memory; "
        "report = check({name: tuple(one) for name, one in json.load(sys.stdin).items()}); "
        "print(json.dumps([report.coherent, peak_memory()]))"
    )
    given = json.dumps({name: [one.engine, one.url] for name, one in targets.items()})
    watch = Watch(targets)
    done = subprocess.run([sys.executable, "-c", code], input=given, text=True, capture_output=True, check=True)
    spent = watch.stop()
    coherent, peak = json.loads(done.stdout)
    if not coherent:
        raise AssertionError("the databases do not agree")
    return Agreeing(
        clients=clients, wall=round(spent.wall, 3), own_cpu=round(spent.own, 3), peak=peak, server_cpu=spent.servers
    )


def _asked(target: Target, clients: int) -> list[Asking]:
    """``clients near`` as a load user asks it, of twenty cities; and one card each of five hundred clients."""
    from harness.load.statements import query

    near = query("promptcrm", "postgresql", "clients_near")
    made = []
    with psycopg.connect(target.url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        places = connection.execute("SELECT latitude, longitude FROM city ORDER BY id LIMIT 20").fetchall()
        card = "SELECT count(*), sum(total) FROM sale WHERE client_id = $1 AND status <> 'cancelled'"
        work = {
            "clients near": [
                (near.sql, near.values(latitude=float(lat), longitude=float(lon), km=25.0, places=20))
                for lat, lon in places
            ],
            "sales of a client": [(card, (1 + n * clients // 500,)) for n in range(500)],
        }
        for name, asked in work.items():
            watch = Watch({"promptcrm": target})
            for sql, values in asked:
                connection.execute(sql, values).fetchall()
            spent = watch.stop().servers.get("promptcrm", 0.0)
            made.append(Asking(query=name, clients=clients, queries=len(asked), server_cpu=spent))
    return made


def _learn(target: Target, clients: int) -> Ids:
    """What a Locust process does once, with the client that its users have."""
    code = (
        "from gevent import monkey; monkey.patch_all(); import json, sys; "
        "from harness.load.clients import open_client; from harness.load.drawing import Ids; "
        "from harness.servers.base import Target; from fixtures.seed.work import peak_memory; "
        "client = open_client(Target('promptcrm', 'postgresql', json.load(sys.stdin)), 'scale'); before = peak_memory(); "
        "Ids([int(row[0]) for row in client.query('SELECT id FROM client')]); print(peak_memory() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(target.url), text=True, capture_output=True, check=True
    )
    return Ids(rows=clients, peak=int(done.stdout))


def _cache(suite: Suite) -> list[Caching]:
    """Keys as their conventions say, each of the size that the harness's own values have."""
    made = []
    with databases(suite, ("cache",)) as targets:
        client = redis.Redis.from_url(targets["cache"].url)
        kinds = {
            "client card": lambda pipe, n: pipe.set(
                f"client:{n}:card",
                json.dumps({"id": n, "name": f"Maria Fernandez {n}", "place": "San Jose, CR", "credit": "1250.00"}),
                ex=300,
            ),
            "session": lambda pipe, n: pipe.hset(
                f"session:{n:064x}", mapping={"identity": f"{n:032x}", "role": "analyst", "until": "1767225600"}
            ),
            "rate limit": lambda pipe, n: pipe.zadd(f"ratelimit:load:{n}", {f"{n}-{i}": 1e9 + i for i in range(10)}),
        }
        for kind, write in kinds.items():
            before = int(client.info("memory")["used_memory"])
            pipe = client.pipeline(transaction=False)
            for number in range(1, 10_001):
                write(pipe, number)
            pipe.execute()
            made.append(Caching(kind=kind, keys=10_000, memory=int(client.info("memory")["used_memory"]) - before))
            client.execute_command("FLUSHDB", "SYNC")
        client.close()
    return made


def _contents(suite: Suite) -> Contents:
    import bson
    import pymongo

    with databases(suite, ("promptcontent",)) as targets:
        target = targets["promptcontent"]
        seed({"promptcontent": Place(target.engine, target.url)}, plan_of("full", clients=200, contents=CONTENTS))
        with pymongo.MongoClient[dict[str, Any]](target.url) as client:
            database = client.get_default_database()
            names = database.list_collection_names()
            size = {name: sum(len(bson.encode(one)) for one in database[name].find()) for name in names}
        pictures = sum(bytes_ for name, bytes_ in size.items() if name.endswith(".chunks"))
        return Contents(contents=CONTENTS, documents=sum(size.values()) - pictures, pictures=pictures)


# -- the ETL

_KINDS = {
    "client": "id name country credit day",
    "sale": "id client_id campaign_id day status total",
    "interaction": "id client_id campaign_id content_id happened_at",
}


def measure_etl(suite: Suite, sizes: Sequence[int], changes: int) -> Mapping[str, object]:
    """A first round, and two deltas, for each size. Campaigns and contents are there already."""
    first, delta = [], []
    for clients in sizes:
        with databases(suite, ("promptcrm", "promptsales")) as targets:
            plan = plan_of("full", clients=clients, campaigns=CAMPAIGNS, contents=CONTENTS)
            crm, sales = targets["promptcrm"], targets["promptsales"]
            seed({"promptcrm": Place(crm.engine, crm.url)}, plan, workers=2)
            _refer(sales)
            first.append(_round(targets, clients))
            for number in range(2):
                _change(crm, clients, min(changes, clients // 10), number)
                delta.append(_round(targets, clients))
            print(clients, "clients moved:", round(first[-1].wall, 1), "s", file=sys.stderr)
    return {"first": first, "delta": delta}


def _refer(target: Target) -> None:
    """Campaigns and contents that PromptCrm's rows refer to: no round of the other sources is needed."""
    with psycopg.connect(target.url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget) "
            "SELECT n, 'c', 'active', '2020-01-01', '2030-01-01', 1 FROM generate_series(1, %s) AS n",
            [CAMPAIGNS],
        )
        connection.execute("INSERT INTO content (id, title) SELECT n, 'c' FROM generate_series(1, %s) AS n", [CONTENTS])


def _round(targets: Mapping[str, Target], clients: int) -> Moving:
    """What Hop's pipeline has the databases do; rows are carried by this process."""
    crm, sales = targets["promptcrm"], targets["promptsales"]
    source = psycopg.connect(crm.url, autocommit=True)
    target = psycopg.connect(sales.url, autocommit=True)
    source.execute("SELECT pg_stat_force_next_flush()")
    with source, target:
        temporary, log = ask(crm, _TEMPORARY), ask(sales, _LOG)
        watch = Watch(targets)
        (number,) = target.execute("SELECT etl_begin()").fetchone() or (0,)
        window = target.execute("SELECT * FROM etl_window(%s, 'promptcrm')", [number]).fetchone()
        assert window is not None
        rows = _carry(source, target, number, window)
        staged = ask(
            sales,
            f"SELECT coalesce(sum(size), 0)::bigint FROM ({_SIZES}) AS s (name, size) WHERE name LIKE 'staging.%'",
        )
        begin = perf_counter()
        merged = target.execute("SELECT * FROM etl_merge(%s, 'promptcrm')", [number]).fetchone()
        merge_wall = perf_counter() - begin
        spent = watch.stop()
        assert merged is not None
        assert merged[-1] == "succeeded", merged
        target.execute(
            "SELECT etl_fail(round, source, '') FROM etl_run WHERE round = %s AND status = 'running'", [number]
        )
        source.execute("SELECT pg_stat_force_next_flush()")
        source.execute("SELECT 1")
        return Moving(
            clients=clients,
            rows=rows,
            wall=round(spent.wall, 3),
            merge_wall=round(merge_wall, 3),
            source_cpu=spent.servers["promptcrm"],
            target_cpu=spent.servers["promptsales"],
            carrier_cpu=round(spent.own, 3),
            temporary=int(ask(crm, _TEMPORARY)) - int(temporary),
            wal=int(ask(sales, _LOG)) - int(log),
            staged=int(staged),
            facts=int(
                ask(
                    sales,
                    f"SELECT coalesce(sum(size), 0)::bigint FROM ({_SIZES}) AS s (name, size) WHERE name LIKE 'fact.%'",
                )
            ),
        )


def _carry(source: Any, target: Any, number: int, window: Sequence[Any]) -> int:
    """The window's row, then each kind into its table; the source's one statement goes through a cursor of the client."""
    asked = source.execute("SELECT * FROM changes_since(%s, %s)", [window[1], window[2]])
    columns = [one.name for one in asked.description]
    place = {name: at for at, name in enumerate(columns)}
    kinds: dict[str, list[Any]] = {name: [] for name in _KINDS}
    count = 0
    for row in asked:
        kind = row[place["kind"]]
        if kind == "window":
            target.execute(
                "INSERT INTO staging.source_window VALUES (%s, 'promptcrm', %s, %s, %s)",
                [number, row[place["whole"]], row[place["origin"]], row[place["upper_bound"]]],
            )
        else:
            count += 1
            kinds[kind].append(row)
    for kind, rows in kinds.items():
        names = ["deleted", *_KINDS[kind].split()]
        with target.cursor().copy(f"COPY staging.{kind} (round, {', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row((number, *(row[place[name]] for name in names)))
    return count


def _change(target: Target, clients: int, count: int, number: int) -> None:
    """As benchmarks/etl_delta.py: so many clients, a tenth of it new sales."""
    step = max(clients // count, 1)
    with psycopg.connect(target.url, autocommit=True) as connection:
        connection.execute("UPDATE client SET credit = credit + 1 WHERE id %% %s = %s", [step, number % step])
        connection.execute(
            "INSERT INTO sale (id, client_id, sold_on, status, total) SELECT nextval('sale_id'), "
            "1 + (n * %s) %% %s, '2026-01-05', 'open', 10 FROM generate_series(1, %s) AS n",
            [10 * step, clients, max(count // 10, 1)],
        )
