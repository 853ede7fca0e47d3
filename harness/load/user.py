"""A Locust user of one of PromptSales's databases: its own connection, refusals tried again, everything counted."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import gevent
from locust import User
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING, DefaultTaskSet, TaskSet

from harness.answers import ErrorKind
from harness.load.arrivals import Arrivals
from harness.load.clients import open_client
from harness.load.locust_stats import Feed
from harness.load.policy import Client, Refused, RetryPolicy
from harness.load.tally import Kind, Tally, clock
from harness.servers.base import Target

T = TypeVar("T")

_DRAWN = 512  # tasks at once
_STOP = 5.0  # seconds that a user has to end what it is at
_REST = 0.1  # seconds, after a fault that is not the database's


@dataclass(slots=True)
class Load:
    """What the users of one process have in common: :func:`attach` gives it to Locust's environment."""

    run: str  # the run's id: sessions are named psh:RUN/load
    targets: dict[str, Target]
    tally: Tally = field(default_factory=Tally)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    arrivals: Arrivals | None = None  # None: the closed loop


_LOADS: WeakKeyDictionary[Environment, Load] = WeakKeyDictionary()


def attach(environment: Environment, load: Load) -> Feed:
    """Let the users of an environment run under ``load``, and its statistics be kept; gives what counts."""
    _LOADS[environment] = load
    # Locust's default ends users in the middle of a request: the server may do it, and nobody counts it.
    environment.stop_timeout = environment.stop_timeout or _STOP
    return Feed(environment, load.tally)


def load_of(environment: Environment) -> Load:
    """What was attached. Raises KeyError."""
    return _LOADS[environment]


class HarnessUser(User):
    """A user whose requests go to the database ``logical`` by its own ``client``.

    Tasks are methods with Locust's ``@task``; each calls :meth:`request`. Weights, ``wait_time``, ``on_start``, ``on_stop``
    and nested task sets are Locust's own. With arrivals (the open loop) a task begins when the next one is due.
    """

    abstract = True
    logical: ClassVar[str] = ""
    client: Any

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.load = load_of(environment)
        self.target = self.load.targets[self.logical]
        self._kinds: dict[str, Kind] = {}
        self._intended = 0.0  # of the task that is due; 0: it counts from when it begins

    def on_start(self) -> None:
        """Connect."""
        self.client = open_client(self.target, f"psh:{self.load.run}/load")

    def on_stop(self) -> None:
        """Disconnect."""
        client: Client | None = getattr(self, "client", None)
        if client is not None:
            client.close()

    def run(self) -> None:  # type: ignore[misc]  # Locust calls it final; its own loop takes a fifth of a point read's time
        """The user's life: as Locust's own, with :meth:`_work` for its loop."""
        self._state = LOCUST_STATE_RUNNING
        self._taskset_instance = DefaultTaskSet(self)
        try:
            try:
                self.on_start()
            except (StopUser, StopTest, gevent.GreenletExit):
                raise
            except Exception as error:
                self._tell(error)
                raise
            if any(isinstance(task, type) and issubclass(task, TaskSet) for task in self.tasks):
                self._taskset_instance.run()
            else:
                self._work()
        except (gevent.GreenletExit, StopUser, StopTest):
            self.on_stop()
        except BaseException:
            self.on_stop()
            raise

    def _work(self) -> None:
        arrivals = self.load.arrivals
        for work in self._drawn():
            if self._state == LOCUST_STATE_STOPPING:
                raise StopUser
            if arrivals is not None:
                self._await(arrivals)
            try:
                work(self)
            except RescheduleTaskImmediately:
                continue
            except RescheduleTask:
                pass
            except InterruptTaskSet as interrupt:
                if interrupt.reschedule:
                    continue
            except (StopUser, StopTest, gevent.GreenletExit):
                raise
            except Exception as error:
                self._tell(error)
                if not self.environment.catch_exceptions:
                    raise
                gevent.sleep(_REST)
            if arrivals is None and (seconds := self.wait_time()):
                self._sleep(seconds)

    def _drawn(self) -> Iterator[Callable[[HarnessUser], object]]:
        """Tasks by their weights, without end."""
        tasks: list[Any] = list(self.tasks)
        if not tasks:
            raise StopUser
        while True:
            yield from random.choices(tasks, k=_DRAWN)
            gevent.sleep(0)  # a task that waits for nothing must not keep the others from their turn

    def _await(self, arrivals: Arrivals) -> None:
        intended = arrivals.next()
        if intended is None:
            raise StopUser
        if (early := intended - clock()) > 0:
            self._sleep(early)
        self._intended = intended

    def _sleep(self, seconds: float) -> None:
        """In a state in which Locust may end the user at once."""
        if self._state == LOCUST_STATE_STOPPING:  # it was told so during its task
            raise StopUser
        self._state = LOCUST_STATE_WAITING
        gevent.sleep(seconds)
        self._state = LOCUST_STATE_RUNNING

    def _tell(self, error: Exception) -> None:
        """A fault in a task, or in connecting: Locust's web page and exit code say it."""
        said = str(error) if isinstance(error, Refused) else traceback.format_exc()
        logging.getLogger(__name__).error("%s: %s", type(self).__name__, said)
        self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)

    def request(self, name: str, work: Callable[[Any], T]) -> T | None:
        """Run ``work(client)`` and count it under ``name``; gives what it gave, None if it was given up.

        A refusal that the policy names is tried again, ``work`` from its beginning; the time counts from the first try, in
        the open loop from when the task was due.
        """
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = self.load.tally.kind(name, self.target.label, self.target.engine)
        began = clock()
        intended = self._intended or began
        self._intended = 0.0
        try:
            made = work(self.client)
        except Refused as refused:
            return self._again(kind, work, refused, intended, began)
        kind.done.append((intended, began, clock()))
        return made

    def _again(self, kind: Kind, work: Callable[[Any], T], refused: Refused, intended: float, began: float) -> T | None:
        tried = 1
        while True:
            why = refused.record.kind
            if not self.load.policy.again(why, tried):
                kind.failed.append((intended, began, clock(), _word(refused)))
                self._recover(why)
                return None
            kind.retried.append((clock(), why.value))
            try:
                self.client.reset()
                gevent.sleep(self.load.policy.wait(tried))
                tried += 1
                made = work(self.client)
            except Refused as again:
                refused = again
                continue
            kind.done.append((intended, began, clock()))
            return made

    def _recover(self, why: ErrorKind) -> None:
        """Be ready for the next task; after a rest if the server is gone: else it would fail a thousand times a second."""
        try:
            self.client.reset()
        except Refused:
            gevent.sleep(_REST)
            return
        if why is ErrorKind.connection:
            gevent.sleep(_REST)


def _word(refused: Refused) -> str:
    """What a failure is counted as: its kind, and the code where the kind says nothing."""
    record = refused.record
    return f"{record.kind.value} {record.code}".strip() if record.kind is ErrorKind.other else record.kind.value
