"""The project on another machine, where whole tests are to run: is it there, can its Python run it, is it the same?

An agent needs nothing of ours there; a worker of pytest-xdist needs all of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import execnet

import harness
from harness.errors import HostError
from harness.runner.remote import digest
from harness.runner.remote.gateway import Gateway, Whereabouts, open_gateway
from harness.runner.remote.specs import HostSpec

_LOOK = (
    inspect.getsource(digest)
    + """
import os, sys
from importlib import metadata

folder = channel.receive()
told = {"cores": os.cpu_count() or 1, "python": sys.executable}
if not os.path.isdir(folder):
    told["missing"] = folder
else:
    os.chdir(folder)
    sys.path.insert(0, folder)
    try:
        import pytest, xdist
        import harness.plugin
        told["version"], told["digest"] = harness.__version__, digest(harness)
        known = [point.value for point in metadata.entry_points(group="pytest11")]
        told["known"] = "harness.plugin" in known
    except Exception as problem:
        told["problem"] = f"{type(problem).__name__}: {problem}"
channel.send(told)
"""
)
"""Runs there. A worker begins in the same way: the folder is its own, and the first place to import from."""

_SECONDS = 60.0
"""For the imports of a cold machine."""


@dataclass(frozen=True, slots=True)
class Project:
    """Where the project is on a machine, and what runs it there."""

    host: HostSpec
    where: Whereabouts
    folder: str
    python: str
    cores: int


def find_projects(hosts: Sequence[HostSpec], folder: str) -> list[Project]:
    """Look for the project on all machines, side by side: in ``folder``, unless a ``chdir=`` says another one.

    Raises HostError: every machine that cannot run it, a line each.
    """
    with ThreadPoolExecutor(max(len(hosts), 1)) as pool:
        found = list(pool.map(lambda host: _attempt(host, folder), hosts))
    if problems := [one for one in found if isinstance(one, str)]:
        raise HostError("\n".join(problems))
    return [one for one in found if isinstance(one, Project)]


def _attempt(host: HostSpec, folder: str) -> Project | str:
    try:
        return _find(host, folder)
    except HostError as error:
        return str(error)


def _find(host: HostSpec, folder: str) -> Project:
    folder = host.spec.chdir or folder
    # Without it: execnet would make a folder that is not there.
    gateway = open_gateway(host.without("chdir"))
    try:
        told = _look(gateway, folder)
    finally:
        gateway.close()
    begin = f"{host.name}: "
    again = f"--tx {host.without('chdir', 'python', 'id').text}"
    if "missing" in told:
        raise HostError(
            f"{begin}there is no folder {folder}; put the project there, or say where it is: {again}//chdir=PATH"
        )
    if told.get("problem") or not told["known"]:
        why = told.get("problem") or "it is not installed, only its files are there"
        raise HostError(
            f"{begin}{told['python']} cannot run the harness ({why}); install the project with it there "
            f"(cd {folder}; {told['python']} -m pip install -e .), or say which Python can: {again}//python=PATH"
        )
    if told["digest"] != digest.digest(harness):
        there = f"version {told['version']}" if told["version"] != harness.__version__ else "another state"
        raise HostError(
            f"{begin}{there} of the harness is there, and version {harness.__version__} here; bring both to the same state"
        )
    return Project(host, gateway.where, folder, gateway.python, int(told["cores"]))


def _look(gateway: Gateway, folder: str) -> dict[str, Any]:
    try:
        channel = gateway.inner.remote_exec(_LOOK)
        channel.send(folder)
        told: dict[str, Any] = channel.receive(timeout=_SECONDS)
    except (OSError, EOFError, execnet.RemoteError, execnet.TimeoutError) as problem:
        said = (str(problem).strip().splitlines() or ["it does not answer"])[-1]
        raise HostError(f"{gateway.spec.name}: what is there cannot be looked at: {said}") from None
    return told
