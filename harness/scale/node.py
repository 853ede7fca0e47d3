"""One node, and how users behave: what the model is told, and where each number is from. None of it was measured."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Told:
    """A number, and where it is from."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that carries one part, and what a part may take of it."""

    cores: Told = Told(8, "declared here: an ordinary node of a cluster")
    memory: Told = Told(32 * GIB, "declared here: an ordinary node of a cluster")
    disk: Told = Told(500e9, "declared here: an ordinary volume")
    full: Told = Told(
        0.7, "declared here: above 70 % nothing is left for a peak, a rebuild of an index, a failed neighbour"
    )
    postgresql_connections: Told = Told(200, "harness/servers/postgres.py: max_connections")
    sqlserver_connections: Told = Told(32_767, "SQL Server's manual: user connections, the most")
    redis_cores: Told = Told(1, "Redis's manual: commands run in one thread")
    locust_core: Told = Told(0.8, "docs/load.md: another process near 80 % of a core")
    locust_memory: Told = Told(GIB, "declared here: a worker's limit")
    window: Told = Told(660, "the brief: a delta every eleven minutes")
    day: Told = Told(86_400, "declared here: a new cluster is filled within a day")
    patience: Told = Told(3_600, "declared here: what a run, or a comparison of the databases, may take")
    page: Told = Told(50e6, "declared here: an HTML page that a browser still opens in seconds")
    ids: Told = Told(2_147_483_647, "schemas: client.id is an int on SQL Server and PostgreSQL")
    seeder: Told = Told(2_000_000_000, "fixtures/seed/plan.py: the most clients of a plan")


@dataclass(frozen=True, slots=True)
class Habits:
    """What a user, and a client who is no user, does."""

    think: Told = Told(10.0, "declared here: seconds between two tasks of a person at work")
    rows_of_client: Told = Told(
        5 / (3 * 365.25 * 86_400) * 3,
        "docs/seeding.md: in three years 1.5 sales, each changing a client too, and 2 interactions; thrice in a peak month",
    )
    rows_of_task: Told = Told(
        0.224, "harness/load/users: sales, metrics and likes that a task of the day's mix leaves for the ETL, the mean"
    )
    near_of_task: Told = Told(4 / 15 * 0.1, "scenarios/load/day.yaml: tasks that look for clients nearby")


NODE, HABITS = Node(), Habits()
