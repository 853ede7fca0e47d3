"""The source that travels: the agent, the engines, and what those stand on. Nothing is written down there."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import harness.engines

_WITH_IT = (
    "harness",
    "harness.answers",
    "harness.errors",
    "harness.vocabulary",
    "harness.runner",
    "harness.runner.remote",
    "harness.runner.remote.agent",
    "harness.runner.remote.drivers",
    "harness.runner.remote.questions",
    "harness.runner.remote.wire",
)

START = """
import importlib.abc, importlib.util, sys

sources = channel.receive()  # module: its text, and whether it is a package

class Travelled(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def find_spec(self, name, path=None, target=None):
        if name in sources:
            return importlib.util.spec_from_loader(name, self, is_package=sources[name][1])

    def is_package(self, name):
        return sources[name][1]

    def get_source(self, name):
        return sources[name][0]

sys.meta_path.insert(0, Travelled())  # first: what may be installed here is another version
from harness.runner.remote.agent import serve
serve(channel)
"""
"""Runs there, in an execnet gateway."""


@cache
def sources() -> dict[str, tuple[str, bool]]:
    """Module → its text, and whether it is a package."""
    return {name: _source(name) for name in (*_WITH_IT, *_engines())}


def _engines() -> Iterator[str]:
    yield harness.engines.__name__
    for module in pkgutil.walk_packages(harness.engines.__path__, f"{harness.engines.__name__}."):
        yield module.name


def _source(name: str) -> tuple[str, bool]:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text("utf-8"), spec.submodule_search_locations is not None
