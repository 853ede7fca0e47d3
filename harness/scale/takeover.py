"""Which existing engine takes over where a part breaks, with its settings, and what is in its way. None was run here."""

from __future__ import annotations

from collections.abc import Sequence

from harness.scale import parts
from harness.scale.model import Judged, Size

_TEXTS: dict[tuple[str, str], str] = {
    (parts.CRM, parts.CPU): (
        "{nodes} nodes are no answer: each 'clients near' sorts all clients around a city. A spatial index (SQL "
        "Server's geography, PostGIS) makes its cost that of the answer; then PromptCrm in shards by client_id "
        "(elastic pools, Citus). In the way: keys and references between clients of two shards"
    ),
    (parts.CRM, parts.DISK): (
        "SQL Server partitioned tables: client, contact, opportunity, sale, interaction RANGE RIGHT on client_id. "
        "In the way: keys of one column (sale.id) must hold client_id too"
    ),
    (parts.CRM, parts.CONNECTIONS): "pooling in the client (ODBC), readable secondaries for 'client card'",
    (parts.CRM, parts.IDS): "bigint ids of clients, in schemas/ and fixtures/seed",
    (parts.SALES, parts.CONNECTIONS): (
        "PgBouncer: pool_mode=transaction, max_client_conn={need}, default_pool_size=40, "
        "max_prepared_statements=100 (1.21 or newer: our users prepare). The ETL, monitor and migration go past "
        "it: their logins live with a connection"
    ),
    (parts.SALES, parts.MEMORY): "PgBouncer, as for connections: 40 sessions instead of {users} users'",
    (parts.SALES, parts.CPU): (
        "streaming replicas for the dashboard (CloudNativePG: instances={nodes}), which ask the Service -ro"
    ),
    (parts.SALES, parts.DISK): (
        "partitions by range of client_id (client_month, fact.sale, fact.interaction), then Citus: "
        "create_distributed_table('client_month', 'client_id', shard_count => {shards}), campaign and content as "
        "reference tables. In the way: fact.sale's key is id alone"
    ),
    (parts.ADS, parts.CONNECTIONS): "pooling in the client (ODBC)",
    (parts.ADS, parts.CPU): "readable secondaries of an availability group; then shards by campaign_id",
    (parts.CONTENT, parts.CPU): (
        "replica set with readPreference=secondaryPreferred, then sh.shardCollection('promptcontent.content', "
        "{{_id: 'hashed'}}) on {nodes} shards. In the way: the outbox has one counter, so all that changes "
        "contents meets there. The number is the stand-in's, not MongoDB's"
    ),
    (parts.CACHE, parts.CPU): (
        "Redis Cluster, {nodes} masters, 16,384 slots. In the way: lease_fill and invalidate take a key, its lease "
        "and a stream at once: keys need hash tags (lease:{{campaign:7}}), and 'invalidation' a stream for each "
        "slot; there is database 0 only"
    ),
    (parts.CACHE, parts.MEMORY): ("Redis Cluster, as for processors; maxmemory-policy volatile-lru before that"),
    (parts.SEEDER, parts.FILL): (
        "an Indexed Job for each database: completions={jobs}, parallelism={nodes}; harness seed full --clients "
        "{clients}"
    ),
    (parts.SEEDER, parts.IDS_SEEDED): (
        "nothing: a plan has at most 2,000,000,000 clients, because client.id is an int"
    ),
    (parts.ETL, parts.FIRST): (
        "let it run longer, once: rounds that are due meanwhile are refused, and nothing is lost; then Hop's "
        "pipelines on Beam (a Spark or Flink run configuration), which read ranges of ids side by side. In the "
        "way: a source is one statement of one snapshot and one merge transaction; ranges need an exported "
        "snapshot, and whether "
        "Hop's bulk loading runs on Beam was not tried"
    ),
    (parts.ETL, parts.DELTA): (
        "Hop on Beam (Spark or Flink run configuration) for the carrying; the merge in PromptSales by partitions "
        "of client_id. In the way: one merge after the other (an advisory lock)"
    ),
    (parts.ETL, parts.TEMPORARY): ("temp_tablespaces on a volume of its own; or ranges, as for the first round"),
    (parts.LOCUST, parts.CPU): ("Locust workers: replicas={nodes} (HPA maxReplicas at least that), one process each"),
    (parts.LOCUST, parts.MEMORY): "Locust workers: replicas={nodes}, {each} users each",
    (parts.LOCUST, parts.LEARNT): (
        "no number of workers: each learns all ids before it keeps 100,000. A sample in the statement (WHERE id % "
        "n = 0, TABLESAMPLE) ends that; until then a worker's limit of {gib} GiB"
    ),
    (parts.COHERENCE, parts.COMPARED): (
        "harness check coherence --only, database by database; rules over ranges of ids are not made yet"
    ),
    (parts.HARNESS, parts.PAGE): (
        "harness show --case, or runs of a folder each: the page holds all cases, in <noscript>"
    ),
    (parts.HARNESS, parts.RUN): "pytest-xdist: -n {nodes}, or --tx machines (docs/two-pcs.md)",
    (parts.HARNESS, parts.EVIDENCE): "a volume of results for each run",
}


def takes_over(one: Judged, size: Size) -> str:
    """What takes over from one node, for this size."""
    nodes = max(one.nodes, 2)  # before it breaks: the next step
    text = _TEXTS.get((one.need.part, one.need.resource), "another node")
    return text.format(
        nodes=nodes,
        shards=max(8, nodes) if one.need.resource == parts.DISK else 8,
        need=f"{max(round(one.amount), 1)}",
        users=f"{size.users:,}",
        clients=f"{size.clients}",
        jobs=max(10, -(-size.clients // 5_000_000)),
        each=f"{size.users // nodes:,}",
        gib=max(1, -(-int(one.amount) // (1 << 30))),
    )


def known(judged: Sequence[Judged]) -> list[str]:
    """Parts and resources that have no text: a test holds it empty."""
    return [
        f"{one.need.part} {one.need.resource}" for one in judged if (one.need.part, one.need.resource) not in _TEXTS
    ]
