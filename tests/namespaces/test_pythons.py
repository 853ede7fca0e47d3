"""The Pythons of a PC: one that has only the driver, one whose clock is wrong."""

from __future__ import annotations

import time

import pytest

from namespaces import Network


def test_a_bare_python_has_the_driver_and_nothing_of_ours(pcs: Network) -> None:
    pc = pcs["pc1"]
    python = str(pc.bare_python())
    answer = pc.run([python, "-c", "import psycopg; print(psycopg.pq.__impl__)"])
    assert answer.stdout == "binary\n", answer.stderr
    for name in "pydantic", "harness", "pytest", "execnet", "pip":
        assert f"No module named '{name}'" in pc.run([python, "-c", f"import {name}"]).stderr


def test_a_python_can_have_nothing_at_all(pcs: Network) -> None:
    pc = pcs["pc1"]
    answer = pc.run([str(pc.bare_python(())), "-c", "import psycopg"])
    assert "No module named 'psycopg'" in answer.stderr


ASK = """
import datetime, time
from time import time as imported
utc = datetime.timezone.utc
print(*[time.time(), imported(), time.time_ns() / 1e9, time.clock_gettime(time.CLOCK_REALTIME),
    time.clock_gettime_ns(time.CLOCK_REALTIME) / 1e9,
    datetime.datetime.now().timestamp(), datetime.datetime.now(utc).timestamp(), datetime.datetime.now(tz=utc).timestamp(),
    datetime.datetime.today().timestamp(), time.mktime(time.localtime()), time.mktime(time.strptime(time.ctime())),
    float(time.strftime("%s")), time.mktime(time.strptime(time.asctime()))])
print(type(datetime.datetime.now()) is datetime.datetime, time.gmtime(0).tm_year, time.strftime("%Y", time.gmtime(0)))
"""


@pytest.mark.parametrize("seconds", [5, -3600.5])
@pytest.mark.parametrize("bare", [False, True])
def test_a_skewed_python_is_off_by_so_much(pcs: Network, seconds: float, bare: bool) -> None:
    pc = pcs["pc1"]
    python = str(pc.bare_python((), seconds) if bare else pc.skewed_python(seconds))
    before = time.time()
    answer = pc.run([python, "-c", ASK])
    after = time.time()
    assert answer.returncode == 0, answer.stderr
    times, rest = answer.stdout.splitlines()
    for said in map(float, times.split()):
        assert before - 1 <= said - seconds <= after + 1  # some of them say whole seconds only
    assert rest == "True 1970 1970"


def test_a_skewed_python_has_what_the_tests_have(pcs: Network) -> None:
    pc = pcs["pc1"]
    python = str(pc.skewed_python(5))
    answer = pc.run([python, "-c", "import pytest, harness, psycopg; print(psycopg.pq.__impl__)"])
    assert answer.stdout == "binary\n", answer.stderr
