"""A Locust master and its workers: what each tells the other besides what Locust does. Imports Locust.

Locust's master waits half a second for the last reports when a test ends; users who finish what they are at take longer. So
it first asks its workers to end their users, and waits until each has reported all, or is lost.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import gevent
import gevent.lock
from locust.env import Environment

_MESSAGE = "promptsales_load"
_END = "promptsales_end"
_PATIENCE = 5.0  # seconds, besides those that users have to finish

Counted = tuple[int, int, int]
"""Open loop: tasks begun, starts handed out, starts that were still to come."""


@dataclass(slots=True)
class Worker:
    """What is known of a process with users."""

    name: str
    begun: int = 0
    given: int = 0
    left: int = 0
    ended: bool = False  # it has told all


class Crew:
    """A master's workers."""

    def __init__(self, environment: Environment) -> None:
        self._runner = cast(Any, environment.runner)
        self._environment = environment
        self._connected: dict[str, str] = {}  # client id → name
        self.workers: dict[str, Worker] = {}
        environment.events.worker_connect.add_listener(self._meet)
        environment.events.worker_report.add_listener(self._hear)

    def begin(self) -> None:
        """A test begins, with those that are there."""
        there = {one.id for one in self._runner.clients.all if one.state != "missing"}
        self.workers = {client: Worker(name) for client, name in self._connected.items() if client in there}

    def end(self) -> None:
        """Have all users ended, and wait until their workers have told what they did."""
        for client, worker in self.workers.items():
            if not worker.ended and client in self._runner.clients:
                self._runner.send_message(_END, client_id=client)
        deadline = time.monotonic() + float(self._environment.stop_timeout or 0) + _PATIENCE
        while time.monotonic() < deadline and any(self._waited_for(*one) for one in self.workers.items()):
            gevent.sleep(0.02)

    def _waited_for(self, client: str, worker: Worker) -> bool:
        there = self._runner.clients.get(client)
        return not worker.ended and there is not None and there.state != "missing" and there.heartbeat >= 0

    def _meet(self, client_id: str, **_: Any) -> None:
        self._connected[client_id] = client_id
        self.workers.setdefault(client_id, Worker(client_id))

    def _hear(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        said = data.get(_MESSAGE)
        if said:
            self._connected[client_id] = said["name"]
            worker = self.workers.setdefault(client_id, Worker(said["name"]))
            worker.name = said["name"]
            worker.begun, worker.given, left = said["counted"]
            worker.left = max(worker.left, left)
            worker.ended = said["ended"] or worker.ended


class Hand:
    """A worker, as its master wants it. ``counted`` is asked for each report; with True for the last one."""

    def __init__(self, environment: Environment, counted: Callable[[bool], Counted]) -> None:
        self._runner = cast(Any, environment.runner)
        self._counted = counted
        self._ended = False
        self._ending = gevent.lock.RLock()
        self._runner.register_message(_END, self._asked_to_end)
        environment.events.report_to_master.add_listener(self._report)
        environment.events.test_start.add_listener(self._start)
        environment.events.test_stop.add_listener(self._stop)
        environment.events.quitting.add_listener(self._end)  # before the runner's own: that says good-bye

    def _start(self, **_: Any) -> None:
        self._ended = False

    def _stop(self, **_: Any) -> None:
        self._ended = True

    def _asked_to_end(self, **_: Any) -> None:
        gevent.spawn(self._end)  # its messages go on to be read

    def _end(self, **_: Any) -> None:
        with self._ending:  # Ctrl-C and our master may both want it
            self._runner.stop()
            self._runner._send_stats()

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        data[_MESSAGE] = {
            "name": f"{socket.gethostname()} (process {os.getpid()})",
            "counted": self._counted(self._ended),
            "ended": self._ended,
        }
