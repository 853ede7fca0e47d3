from __future__ import annotations

import psycopg
import pytest
from load.locusts import in_locust

from fixtures.databases import Database


@pytest.fixture
def url(promptsales_db: Database) -> str:
    with psycopg.connect(promptsales_db.url) as connection:
        connection.execute("CREATE TABLE pot (id int PRIMARY KEY, n int NOT NULL)")
        connection.execute("INSERT INTO pot VALUES (1, 0), (2, 0)")
    return promptsales_db.url


def test_users_work_and_everything_is_counted(url):
    told = in_locust(
        """
        class Reader(HarnessUser):
            logical = "promptsales"
            @task(3)
            def read(self):
                self.request("read", lambda client: client.query("SELECT n FROM pot WHERE id = $1", 1))
            @task(1)
            def write(self):
                self.request("write", lambda client: client.execute("UPDATE pot SET n = n + 1 WHERE id = 1"))
        made, load, feed = environment(Reader)
        run(made, 4, until=lambda: sum(one["done"] for one in requests(feed)) > 400)
        total = made.stats.total
        print(json.dumps({"requests": requests(feed), "locust": total.num_requests, "failures": total.num_failures,
            "names": sorted(name for name, _ in made.stats.entries), "clients": made.runner.user_count}))
        """,
        url=url,
    )
    done = {one["name"]: one["done"] for one in told["requests"]}
    assert told["names"] == ["read", "write"]
    assert sum(done.values()) == told["locust"]
    assert told["failures"] == told["clients"] == 0
    assert 2 < done["read"] / done["write"] < 4.5
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM pot WHERE id = 1").fetchone() == (done["write"],)


def test_deadlocks_are_tried_again_and_none_is_hidden(url):
    told = in_locust(
        """
        import random
        class Transfer(HarnessUser):
            logical = "promptsales"
            @task
            def transfer(self):
                one, other = random.sample((1, 2), 2)
                def work(client):
                    def both(client):
                        client.execute("UPDATE pot SET n = n - 1 WHERE id = $1", one)
                        gevent.sleep(0.005)
                        client.execute("UPDATE pot SET n = n + 1 WHERE id = $1", other)
                    client.transaction(both)
                self.request("transfer", work)
            def on_start(self):
                super().on_start()
                self.client.execute("SET deadlock_timeout = '10ms'")
        made, load, feed = environment(Transfer, policy=RetryPolicy(tries=50))
        run(made, 4, until=lambda: sum(sum(one["retried"].values()) for one in requests(feed)) > 3)
        feed.pour()
        print(json.dumps({"requests": requests(feed),
            "locust": {f"{method} {name}": entry.num_requests for (name, method), entry in made.stats.entries.items()},
            "total": made.stats.total.num_requests}))
        """,
        url=url,
    )
    (one,) = told["requests"]
    assert one["failed"] == {}
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        ask = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.execute(ask).fetchone() == (one["retried"]["deadlock"],)
        assert connection.execute("SELECT sum(n) FROM pot").fetchone() == (0,)
    assert told["locust"]["refused transfer: deadlock"] == one["retried"]["deadlock"]
    assert told["total"] == told["locust"]["postgresql transfer"] == one["done"]  # a try is no request


def test_what_is_given_up_is_a_failure_by_its_kind(url):
    told = in_locust(
        """
        class Wrong(HarnessUser):
            logical = "promptsales"
            @task
            def twice(self):
                given_up = self.request("twice", lambda client: client.execute("INSERT INTO pot VALUES (1, 1)"))
                assert given_up is None
            @task
            def nonsense(self):
                self.request("nonsense", lambda client: client.query("SELEC"))
        made, load, feed = environment(Wrong)
        run(made, 1, until=lambda: len(requests(feed)) == 2)
        print(json.dumps({"requests": requests(feed), "failures": made.stats.total.num_failures,
            "errors": sorted({f"{e.method} {e.name}: {e.error}" for e in made.stats.errors.values()})}))
        """,
        url=url,
    )
    failed = {one["name"]: one["failed"] for one in told["requests"]}
    assert failed == {
        "twice": {"constraint": failed["twice"]["constraint"]},
        "nonsense": {"other 42601": failed["nonsense"]["other 42601"]},
    }
    assert told["failures"] == sum(sum(kinds.values()) for kinds in failed.values())
    assert told["errors"] == ["postgresql nonsense: other 42601", "postgresql twice: constraint"]


def test_a_server_that_stalls_is_seen_from_the_intended_start(url):
    """One second of a lock, in which 50 requests were to begin: the closed loop's view would show one slow request."""
    told = in_locust(
        """
        from harness.load.arrivals import Arrivals
        from harness.load.postgresql import PostgreSQLClient
        class Writer(HarnessUser):
            logical = "promptsales"
            @task
            def write(self):
                self.request("write", lambda client: client.execute("UPDATE pot SET n = n + 1 WHERE id = 1"))
        arrivals = Arrivals(lambda _: 50, clock(), 2.0, poisson=False)
        made, load, feed = environment(Writer, arrivals=arrivals)
        def stall():
            holder = PostgreSQLClient(given["url"], "holder")
            gevent.sleep(0.3)
            def hold(client):
                client.execute("UPDATE pot SET n = n WHERE id = 1")
                gevent.sleep(1.0)
            holder.transaction(hold)
            holder.close()
        stalling = gevent.spawn(stall)
        run(made, 1, until=lambda: made.runner.user_count == 0 and stalling.ready())
        feed.pour()
        print(json.dumps({"requests": requests(feed), "given": arrivals.given, "left": arrivals.left(),
            "late": feed.counts.late}))
        """,
        url=url,
    )
    (one,) = told["requests"]
    assert told["left"] == 0
    assert one["done"] == told["given"] == pytest.approx(100, abs=1)
    assert one["most"] >= 900  # milliseconds: the server was locked for a second
    assert one["percentiles"]["90"] >= 400 > one["service"]["90"] * 2  # a whole second's requests were late, one waited
    assert told["late"] >= 30


def test_users_begin_when_the_next_start_is_due_and_end_with_the_last(url):
    told = in_locust(
        """
        from harness.load.arrivals import Arrivals
        class Reader(HarnessUser):
            logical = "promptsales"
            @task
            def read(self):
                self.request("read", lambda client: client.query("SELECT 1"))
        arrivals = Arrivals(lambda _: 200, clock(), 1.0)
        made, load, feed = environment(Reader, arrivals=arrivals)
        run(made, 3, until=lambda: arrivals.given > 50 and made.runner.user_count == 0)
        feed.pour()
        print(json.dumps({"requests": requests(feed), "given": arrivals.given}))
        """,
        url=url,
    )
    assert told["requests"][0]["done"] == told["given"]


def test_a_fault_in_a_task_is_told_and_the_user_goes_on(url):
    told = in_locust(
        """
        class Clumsy(HarnessUser):
            logical = "promptsales"
            tasks_begun = 0
            @task
            def work(self):
                Clumsy.tasks_begun += 1
                self.request("read", lambda client: client.query("SELECT 1"))
                if Clumsy.tasks_begun == 2:
                    raise KeyError("mine")
        made, load, feed = environment(Clumsy)
        said = []
        made.events.user_error.add_listener(lambda user_instance, exception, tb, **_: said.append(repr(exception)))
        run(made, 1, until=lambda: Clumsy.tasks_begun > 3)
        print(json.dumps(said))
        """,
        url=url,
    )
    assert told == ["KeyError('mine')"]


def test_a_server_that_is_not_there_is_told_once_for_each_user():
    told = in_locust(
        """
        class Reader(HarnessUser):
            logical = "promptsales"
            @task
            def read(self):
                raise AssertionError("no client")
        made, load, feed = environment(Reader)
        said = []
        made.events.user_error.add_listener(lambda user_instance, exception, tb, **_: said.append(str(exception)))
        run(made, 2, until=lambda: len(said) == 2)
        print(json.dumps(said))
        """,
        url="postgresql://nobody@127.0.0.1:1/none",
    )
    assert len(told) == 2
    assert all(line.startswith("connection lost (08006)") for line in told)


def test_a_server_that_comes_back_is_worked_with_again(url):
    told = in_locust(
        """
        import psycopg
        class Reader(HarnessUser):
            logical = "promptsales"
            wait_time = constant(0.01)
            @task
            def read(self):
                self.request("read", lambda client: client.query("SELECT 1"))
        made, load, feed = environment(Reader)
        def done():
            feed.pour()
            return sum(one["done"] for one in requests(feed))
        def killed():
            with psycopg.connect(given["url"], autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                               " WHERE datname = current_database() AND pid <> pg_backend_pid()")
            return done()
        made.runner.start(1, spawn_rate=1)
        with gevent.Timeout(20):
            while not done():
                gevent.sleep(0.01)
            before = killed()
            while done() <= before + 3:
                gevent.sleep(0.01)
        made.runner.stop()
        print(json.dumps(requests(feed)))
        """,
        url=url,
    )
    assert sum(told[0]["failed"].values()) == 1


def test_a_nested_task_set_is_run_by_locust_itself(url):
    told = in_locust(
        """
        from locust import TaskSet
        class Visit(TaskSet):
            @task
            def read(self):
                self.user.request("read", lambda client: client.query("SELECT 1"))
                self.interrupt()
        class Visitor(HarnessUser):
            logical = "promptsales"
            tasks = [Visit]
        made, load, feed = environment(Visitor)
        run(made, 1, until=lambda: requests(feed) and requests(feed)[0]["done"] > 3)
        print(json.dumps(len(requests(feed))))
        """,
        url=url,
    )
    assert told == 1
