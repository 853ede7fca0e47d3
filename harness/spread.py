"""Whole tests on several machines: which worker of pytest-xdist runs where, and how its evidence comes home.

Not to be confused with sessions on several machines (:mod:`harness.runner.remote.places`): there one test is steered from
here and its sessions are elsewhere, here a test is elsewhere with all that it does, its coordinator too.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import HostError, StoreError
from harness.etl.keep import keep as keep_etl
from harness.etl.kept import EtlRecord
from harness.evidence.model import Evidence
from harness.load.keep import keep as keep_load
from harness.load.result import LoadResult
from harness.plans.keep import keep_pair
from harness.plans.model import PlanPair
from harness.runner.remote.project import Project, find_projects
from harness.runner.remote.specs import HostSpec
from harness.servers.base import Servers
from harness.servers.embedded import run_folder
from harness.servers.runfolder import RunFolder
from harness.servers.told import Telling, ToldServers, tell
from harness.suite import Beside, Parcel, Settings, Suite
from harness.workloads.keep import KIND as WORKLOADS
from harness.workloads.keep import Bundle
from harness.workloads.keep import keep_bundle as keep_workload


@dataclass(slots=True)
class Worker:
    """A worker on ``host``, and what became of it; ``project`` is None for a process on this machine."""

    host: HostSpec
    project: Project | None
    told: Telling = field(default_factory=dict, repr=False)  # of the servers; holds logins
    id: str = ""  # pytest-xdist's name of it; known when it has ended
    ended: bool = False
    problem: str = ""  # why it ended before its time


@dataclass(slots=True)
class Spread:
    """``--tx`` and ``-n``: ``count`` workers on ``hosts`` in turn; None: one for each, ``auto``: one for each core."""

    hosts: list[HostSpec]
    count: int | str | None = None
    most: int | None = None

    @property
    def names(self) -> list[str]:
        """The machines, each one once."""
        return [host.name for host in self._each().values()]

    def _each(self) -> dict[str, HostSpec]:
        """Machines by what is said of them: ``2*ssh=pc1`` is one."""
        made: dict[str, HostSpec] = {}
        for host in self.hosts:
            made.setdefault(host.without("id").text, host)
        return made

    def workers(self, servers: Servers, root: Path) -> list[Worker]:
        """Look at all machines, have the servers be reached from there, deal the workers.

        Raises HostError: every machine that cannot run the project, a line each.
        """
        each = self._each()
        away = [host for host in each.values() if not host.is_local]
        projects = dict(zip([host.name for host in away], find_projects(away, str(root)), strict=True))
        places = [project.where for project in projects.values()]
        servers.listen([one.controller for one in places], [one.address for one in places])
        tellings = {address: tell(servers, address) for address in dict.fromkeys(one.controller for one in places)}
        workers = []
        for host in self._dealt(each, {name: project.cores for name, project in projects.items()}):
            project = projects.get(host.name)
            workers.append(Worker(host, project, tellings[project.where.controller] if project else {}))
        return workers

    def _dealt(self, each: Mapping[str, HostSpec], cores: Mapping[str, int]) -> Iterator[HostSpec]:
        machines = list(each.values())
        if self.count is None:
            return (each[host.without("id").text] for host in self.hosts)
        if isinstance(self.count, int):
            return islice(cycle(machines), min(self.count, self.most or self.count))
        own = {host.name: cores.get(host.name, os.cpu_count() or 1) for host in machines}
        turns = (host for turn in range(max(own.values())) for host in machines if turn < own[host.name])
        return islice(turns, self.most)


def arguments_there(
    arguments: Sequence[str], paths: Sequence[str], here: Path, root: Path, environ: Mapping[str, str]
) -> list[str]:
    """pytest's ``arguments`` as they are said where the project is the current folder.

    ``paths`` are those of them that are tests' paths, as written ``here``; what ``PYTEST_ADDOPTS`` says here comes first.
    Raises HostError for a path outside of the project.
    """
    made = shlex.split(environ.get("PYTEST_ADDOPTS", ""))
    for argument in arguments:
        made.append(_path_there(argument, here, root) if argument in paths else argument)
    if not paths and here.resolve() != root.resolve():  # pytest takes the folder that it is started in
        made.append(_path_there(str(here), here, root))
    return made


def _path_there(argument: str, here: Path, root: Path) -> str:
    path, *rest = argument.split("::")
    full = (here / path).resolve()
    if not full.is_relative_to(root.resolve()):
        raise HostError(f"{argument}: this lies outside of {root}, and other machines have only what is in the project")
    return "::".join([full.relative_to(root.resolve()).as_posix(), *rest])


# -- a worker on another machine


def away(joined: Mapping[str, Any], settings: Settings) -> tuple[Settings, RunFolder] | None:
    """The settings of a worker that is on another machine than the run's owner; None if it is not.

    ``joined`` is what the controller told it. Evidence is kept in a folder that goes when this process ends, however it
    ends; what is in it goes home with the reports. Raises ServerError.
    """
    told = joined.get("psh_away")
    if not told:
        return None
    folder = run_folder(f"{settings.run_id}-{settings.worker}", os.getpid())
    folder.open()
    changed = replace(
        settings,
        away=True,
        owner_pid=0,  # a process there may have the same number as the owner here
        results=folder.path / "results",
        servers=ToldServers(told["servers"]),
        mode=told["mode"],
    )
    return changed, folder


# -- evidence comes home

_Model = TypeVar("_Model", bound=BaseModel)
_PICTURE = re.compile(r"[A-Za-z0-9_-]+\.svg")


def pack(kept: Sequence[Parcel | Beside], folder: Path, shown: Callable[[Path], str]) -> dict[str, Any]:
    """What a worker kept in its ``folder``, of builtin types: it travels. ``shown`` is a path as its reports write it."""
    return {
        "folders": [str(folder), shown(folder)],
        "kept": [
            {
                "folders": [str(one.path.parent), shown(one.path.parent)],
                "evidence": one.evidence.model_dump_json(exclude_defaults=True),
                "pictures": dict(one.pictures),
                "seconds": one.seconds,
            }
            for one in kept
            if isinstance(one, Parcel)
        ],
        "beside": [
            {
                "folders": [str(one.path.parent), shown(one.path.parent)],
                "kind": one.kind,
                "text": one.text,
                "pictures": dict(one.pictures),
            }
            for one in kept
            if isinstance(one, Beside)
        ],
    }


def unpack(told: Mapping[str, Any], suite: Suite, shown: Callable[[Path], str]) -> dict[str, str]:
    """Keep what :func:`pack` made; gives the worker's folders and what they are here, as ``shown``.

    Raises StoreError, also for what is no evidence.
    """
    names = dict.fromkeys(told["folders"], shown(suite.store.folder))
    for one in told["kept"]:
        evidence = _read(Evidence, one["evidence"])
        path = suite.keep(evidence, _pictures(one), float(one["seconds"]))
        names |= dict.fromkeys(one["folders"], shown(path.parent))
    for one in told["beside"]:
        if one["kind"] == "plans":
            path, _ = keep_pair(suite, _read(PlanPair, one["text"]), _pictures(one))
        elif one["kind"] == "etl":
            path = keep_etl(suite, _read(EtlRecord, one["text"]))
        elif one["kind"] == WORKLOADS:
            path = keep_workload(suite, _read(Bundle, one["text"]), _pictures(one))
        else:
            path = keep_load(suite, _read(LoadResult, one["text"]))
        names |= dict.fromkeys(one["folders"], shown(path.parent))
    return names


def _pictures(told: Mapping[str, Any]) -> dict[str, str]:
    return {name: text for name, text in told["pictures"].items() if _PICTURE.fullmatch(name)}


def _read(model: type[_Model], text: str) -> _Model:
    """What another machine sent is believed only as far as it is what it should be. Raises StoreError."""
    try:
        return model.model_validate_json(text)
    except ValidationError as invalid:
        raise StoreError(f"evidence from another machine cannot be read: {invalid.errors()[0]['msg']}") from None


def renamed(text: str, names: Mapping[str, str]) -> str:
    """``text`` with a worker's folders as they are called here."""
    for there in sorted(names, key=len, reverse=True):
        text = text.replace(there, names[there])
    return text
