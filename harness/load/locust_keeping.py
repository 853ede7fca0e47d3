"""What is kept of a run inside Locust: the load of its users, how many there were, the result at the end. Imports Locust."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from harness.errors import HarnessError
from harness.load.arrivals import Arrivals
from harness.load.catalogue import USERS, databases_of
from harness.load.locust_stats import Feed
from harness.load.locust_workers import Counted, Crew, Hand, Worker
from harness.load.plan import Plan
from harness.load.result import LoadResult, Users
from harness.load.tally import clock
from harness.load.told import MARK, RESULT, Told
from harness.load.user import Load, attach
from harness.load.users.base import Book, PromptUser
from harness.seed_cli import targets_of
from harness.servers.base import LOGICAL


@dataclass(slots=True)
class Test:
    """One test: from its start to its stop."""

    plan: Plan
    began: float
    run: str
    ended: float = 0.0
    users: list[Users] = field(default_factory=list)


class Keeping:
    """The listeners of one process; :mod:`harness.load.locust_stats` does the counting."""

    def __init__(self, environment: Environment, told: Told | None, configure: Callable[[Plan], object]) -> None:
        self._environment = environment
        self._runner = cast(Any, environment.runner)
        self._options = cast(Any, environment.parsed_options)
        self._told = told
        self._configure = configure
        self._configured: str = self._options.load_plan
        self._test: Test | None = None
        self._suite: Any = None
        self.worker = isinstance(self._runner, WorkerRunner)
        self.master = isinstance(self._runner, MasterRunner)
        targets, _ = ({}, {}) if self.master else targets_of(LOGICAL, None)
        stand_ins = told.stand_ins if told else {}
        targets = {name: replace(one, stand_in=stand_ins.get(name, one.stand_in)) for name, one in targets.items()}
        self.load = Load(run="", targets=targets)
        events = environment.events
        events.test_start.add_listener(self._start)  # before the feed's: that forgets what was counted
        self.feed: Feed = attach(environment, self.load)
        events.test_stopping.add_listener(self._stopping)
        events.test_stop.add_listener(self._stop)
        events.quit.add_listener(self._quit)
        self._crew = Crew(environment) if self.master else None
        self._hand = Hand(environment, self._counted) if self.worker else None
        self._monitor: Any = None
        if self._options.headless and not self.worker:
            self._watch_servers()
        gevent.get_hub().loop.update_now()  # as old as our imports took: time limits would come early
        if os.name == "posix":
            gevent.signal_handler(signal.SIGINT, self._interrupted)
        if told and not self.worker:
            gevent.spawn(self._end_with_our_starter)
        if self.worker and self._options.processes:
            gevent.spawn(self._end_with_our_parent, os.getppid())

    # -- the life of the process

    def _interrupted(self) -> None:
        """Ctrl-C is Locust's to hear, not that of the user whose turn it happens to be."""
        hub = cast(Any, gevent.get_hub())
        hub.loop.run_callback(hub.parent.throw, KeyboardInterrupt)

    def _end_with_our_starter(self) -> None:
        """Nobody waits for us any more: leave nothing behind."""
        if os.name == "posix":
            from gevent.os import make_nonblocking, nb_read

            make_nonblocking(0)
            while nb_read(0, 4096):
                pass
        else:
            gevent.get_hub().threadpool.apply(sys.stdin.buffer.read)
        self._leave()

    def _end_with_our_parent(self, parent: int) -> None:
        while os.getppid() == parent:
            gevent.sleep(0.5)
        self._leave()

    def _leave(self) -> None:
        gevent.spawn_later(3, os._exit, 1)
        self._runner.quit()
        os._exit(1)

    def _watch_servers(self) -> None:
        """Have the servers, and this machine, sampled meanwhile; who started us does it itself."""
        if self._told or self._monitor:
            return
        from harness.load.keep import open_suite
        from harness.monitor.monitor import Monitor

        try:
            self._suite = open_suite(Path(self._options.results), _new_run())
            found, _ = targets_of(databases_of(self._users()), None)
            self._monitor = Monitor(found, self._suite.store.folder, run=self._suite.settings.run_id)
            self._monitor.start()
        except HarnessError as error:
            print(f"harness: {error}", file=sys.stderr)

    def _users(self) -> list[str]:
        classes = {cls.__name__ for cls in self._environment.user_classes}
        return [name for name, kind in USERS.items() if kind.cls in classes]

    # -- a test

    def _start(self, **_: Any) -> None:
        self._keep_last()
        if self._crew:
            self._crew.begin()
        if not self.worker:
            self._watch_servers()
        options = self._options
        if not self.worker:
            options.load_run = (
                self._told.run if self._told else self._suite.settings.run_id if self._suite else _new_run()
            )
            options.load_seconds = float(options.run_time or 0)
            options.load_workers = len(self._runner.clients) if self.master else 1
        plan = Plan.from_json(options.load_plan)
        if options.load_plan != self._configured:  # a worker on another machine hears it from its master
            self._configure(plan)
            self._configured = options.load_plan
            self._environment._filter_tasks_by_tags()
        if self._environment.shape_class:
            cast(Any, self._environment.shape_class).over = False
        test = self._test = Test(plan, time.time(), options.load_run)
        self.load.run, self.load.policy = options.load_run, plan.policy
        self.load.arrivals = None
        PromptUser.book = None
        if plan.rate is not None and not self.master:
            PromptUser.book = Book(self._expected, lambda: self._open(plan, plan.rate or 0, test))
        if not self.worker:
            gevent.spawn(self._watch, test)

    def _expected(self) -> int:
        return int(self._runner.target_user_count)

    def _open(self, plan: Plan, rate: float, test: Test) -> None:
        """This process's part of the arrivals begins."""
        options = self._options
        seconds = float(options.load_seconds) or (math.inf if not options.headless else plan.load.seconds)
        left = seconds - (time.time() - test.began)
        share = rate / max(1, int(options.load_workers))
        index = max(0, int(getattr(self._runner, "worker_index", 0)))
        over = left if math.isfinite(left) else plan.load.seconds
        self.load.arrivals = Arrivals(plan.curve.rate(share, over), clock(), left, seed=index + 1)

    def _watch(self, test: Test) -> None:
        """How many users there are, every second; told to whoever started us."""
        while not test.ended:
            users = self._runner.user_count
            test.users.append(Users(at=round(time.time(), 3), users=users))
            self._tell(test, users)
            gevent.sleep(1)

    def _tell(self, test: Test, users: int) -> None:
        if self._told:
            kinds = self.feed.counts.kinds.values()
            said = {
                "seconds": round(time.time() - test.began, 1),
                "users": users,
                "done": sum(one.times.count for one in kinds),
                "failed": sum(one.failed.total() for one in kinds),
                "retried": sum(one.retried.total() for one in kinds),
            }
            print(f"{MARK}{json.dumps(said)}", flush=True)

    def _stopping(self, **_: Any) -> None:
        if self._test and not self._test.ended:
            self._test.ended = time.time()
            if self.load.arrivals:
                self.load.arrivals.end(clock())
            if self._environment.shape_class:
                cast(Any, self._environment.shape_class).over = True  # it must not wish for users any more
            if self._crew:
                self._crew.end()

    def _stop(self, **_: Any) -> None:
        if self._test is None or self.worker:
            return
        self._test.ended = self._test.ended or time.time()
        self._test.users.append(Users(at=round(self._test.ended, 3), users=self._runner.user_count))
        self.feed.pour()
        self._keep_last()

    def _counted(self, last: bool = True) -> Counted:
        """What became of the open loop's starts in this process."""
        arrivals, book = self.load.arrivals, PromptUser.book
        if not (arrivals and book):
            return 0, 0, 0
        return book.begun, arrivals.given - book.spared, arrivals.left() if last else 0

    # -- the end

    def _quit(self, **_: Any) -> None:
        if self.worker:
            return
        self._keep_last()
        if self._monitor is not None:
            self._monitor.stop()
        if self._suite is not None:
            try:
                page = self._suite.finish({"arguments": sys.argv[1:]})
            except HarnessError as error:
                print(f"harness: {error}", file=sys.stderr)
            else:
                print(f"results: {_short(page.parent)}  report: {_short(page)}" if page else "no results")

    def _keep_last(self) -> None:
        """Write down what the last test gave, once."""
        test, self._test = self._test, None
        if test is None or self.worker:
            self._test = test if self.worker else None
            return
        result = self.result(test)
        if self._told:
            print(f"{RESULT}{result.model_dump_json(exclude_defaults=True)}", flush=True)
            return
        from harness.load.keep import keep, open_suite

        try:
            self._suite = self._suite or open_suite(Path(self._options.results), test.run)
            path = keep(self._suite, result)
        except HarnessError as error:
            print(f"harness: {error}", file=sys.stderr)
            return
        print(f"{result.name}: kept in {_short(path.parent)}", flush=True)

    def result(self, test: Test) -> LoadResult:
        """What a test gave."""
        plan, counts = test.plan, self.feed.counts
        workers = list(self._crew.workers.values()) if self._crew else [Worker("", *self._counted(), ended=True)]
        intended = sum(worker.given + worker.left for worker in workers) if plan.rate is not None else None
        return LoadResult(
            name=plan.id,
            title=plan.written.title,
            file=plan.file.as_posix() if plan.file != Path() else "",
            arrivals=plan.arrivals,
            shape=plan.curve.words,
            processes=max(1, len(workers)),
            began=round(test.began, 3),
            seconds=round((test.ended or time.time()) - test.began, 3),
            requests=counts.requests(),
            users=test.users,
            intended=intended,
            late=counts.late if plan.rate is not None else 0,
            notes=list(self._notes(workers, intended)),
        )

    def _notes(self, workers: list[Worker], intended: int | None) -> Iterator[str]:
        lost = [worker.name for worker in workers if not worker.ended]
        for name in lost:
            yield f"worker {name} was lost: what it did after its last report is not counted"
        if intended is not None:
            begun = sum(worker.begun for worker in workers)
            if begun < intended:
                yield f"{intended - begun} of {intended} tasks had not begun when the run ended"
        for one in self._runner.exceptions.values():
            yield f"{one['count']} × {one['msg'].splitlines()[0] if one['msg'] else 'a fault in a task'}"


def _new_run() -> str:
    from harness.suite import new_run_id

    return new_run_id()


def _short(path: Path) -> str:
    return os.path.relpath(path)
