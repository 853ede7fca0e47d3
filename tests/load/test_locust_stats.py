from __future__ import annotations

from load.locusts import in_locust

SHAPE = """
import random
from harness.load.locust_stats import Feed
from harness.load.tally import Tally
from locust.stats import RequestStats
random.seed(5)
made = Environment(user_classes=[])
made.create_local_runner()
tally = Tally()
feed = Feed(made, tally)
now = clock()
kind = tally.kind("read", "promptsales@postgresql", "postgresql")
rows = [(now + n / 500, now + n / 500, now + n / 500 + random.lognormvariate(-6, 2)) for n in range(2000)]
"""


def test_many_at_once_are_what_locust_counts_one_by_one():
    told = in_locust(
        SHAPE
        + """
other = RequestStats()
for intended, began, ended in rows:
    other.log_request("postgresql", "read", 1000 * (ended - intended), 0)
kind.done.extend(rows[:900]); feed.pour()
kind.done.extend(rows[900:]); feed.pour()
def facts(stats):
    return [[e.num_requests, sum(e.num_reqs_per_sec.values()), round(e.total_response_time, 3),
             round(e.min_response_time, 6), round(e.max_response_time, 6), sorted(e.response_times.items()),
             e.get_response_time_percentile(0.95)] for e in (stats.total, stats.entries["read", "postgresql"])]
print(json.dumps([facts(made.stats), facts(other)]))
"""
    )
    ours, locusts = told
    for mine, theirs in zip(ours, locusts, strict=True):
        assert mine[:5] == theirs[:5]
        assert mine[5] == theirs[5]
        assert mine[6] == theirs[6]


def test_a_rounding_of_somebodys_own_is_kept_to():
    told = in_locust(
        SHAPE
        + """
import locust.stats
locust.stats.bucket_response_time = lambda response_time: round(response_time * 1000) * 7
kind.done.extend(rows); feed.pour()
print(json.dumps([*made.stats.total.response_times]))
"""
    )
    assert all(bucket % 7 == 0 for bucket in told)
    assert len(told) > 1000


def test_who_listens_to_requests_hears_each_of_them():
    told = in_locust(
        SHAPE
        + """
heard = []
made.events.request.add_listener(lambda **given: heard.append(given))
kind.done.extend(rows[:3])
kind.failed.append((now, now, now + 0.1, "deadlock"))
kind.retried.append((now, "deadlock"))
feed.pour()
heard = [[h["request_type"], h["name"], round(h["response_time"], 6), str(h["exception"])] for h in heard]
print(json.dumps({"heard": heard,
    "total": made.stats.total.num_requests, "failures": made.stats.total.num_failures,
    "refused": made.stats.entries["read: deadlock", "refused"].num_requests,
    "rows": [round(1000 * (e - i), 6) for i, b, e in rows[:3]]}))
"""
    )
    assert told["heard"] == [
        *(["postgresql", "read", ms, "None"] for ms in told["rows"]),
        ["postgresql", "read", 100.0, "deadlock"],
    ]
    assert (told["total"], told["failures"], told["refused"]) == (4, 1, 1)


def test_a_worker_tells_its_master_everything_once():
    told = in_locust(
        SHAPE
        + """
from locust.runners import WorkerRunner
class Worker(WorkerRunner):
    def __init__(self):
        pass
made.runner = Worker()
master = Environment(user_classes=[])
master.create_local_runner()
there = Feed(master, Tally())
for part in (rows[:700], rows[700:], []):
    kind.done.extend(part)
    data = {}
    made.events.report_to_master.fire(client_id="one", data=data)
    master.events.worker_report.fire(client_id="one", data=json.loads(json.dumps(data)))
print(json.dumps([requests(there), requests(feed)]))
"""
    )
    assert told[0] == told[1]
    assert told[0][0]["done"] == 2000


def test_a_second_test_begins_from_nothing():
    told = in_locust(
        SHAPE
        + """
kind.done.extend(rows[:10]); feed.pour()
kind.done.extend(rows[:10])
made.events.test_start.fire(environment=made)
feed.pour()
print(json.dumps(requests(feed)))
"""
    )
    assert told == []
