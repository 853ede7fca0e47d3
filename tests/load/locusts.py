"""Locust patches the process that imports it, so what needs Locust runs in one of its own, which prints JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

HEAD = """
from gevent import monkey
monkey.patch_all()
import json, sys
import gevent
from locust import User, constant, events, task
from locust.env import Environment
from harness.load.policy import RetryPolicy
from harness.load.tally import clock
from harness.load.user import HarnessUser, Load, attach
from harness.servers.base import Target
given = json.loads(sys.argv[1])

def environment(*users, **more):
    made = Environment(user_classes=[*users])
    made.create_local_runner()
    load = Load("test", {"promptsales": Target("promptsales", "postgresql", given.get("url", ""))}, **more)
    return made, load, attach(made, load)

def run(made, users=1, until=lambda: False, seconds=20):
    made.runner.start(users, spawn_rate=100)
    with gevent.Timeout(seconds):
        while not until():
            gevent.sleep(0.01)
    made.runner.stop()

def requests(feed):
    return [one.model_dump() for one in feed.counts.requests()]
"""


def in_locust(script: str, **given: Any) -> Any:
    """What the script's last ``print(json.dumps(…))`` says."""
    text = HEAD + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", text, json.dumps(given)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
