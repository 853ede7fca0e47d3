"""The process that runs a scenario for an MCP server: ``python -P -m harness.mcp.harness_child ORDER``, told in JSON.

    out   {"run": id}, then for each case {"case": …} or {"skipped": …}, then {"end": true}; or {"error": kind, "text": …}

SIGTERM ends it tidily: what ran is kept, databases are dropped, servers stopped. If it is killed, the run's watchdog
stops the servers.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, ScenarioError, ServerUnavailable, SetupFailed, StoreError
from harness.etl.ending import sigterm_ends
from harness.evidence.store import EVIDENCE
from harness.servers import MODE_VARIABLE, MODES, Servers, resolve_mode
from harness.servers.urls import VARIABLE

OWN_WORDS = (ScenarioError, ServerUnavailable, SetupFailed)
"""Errors whose text speaks of the scenario, or of what is not installed: a caller may read them. Others are for the log."""


def servers_of(mode: str, run_id: str, owner_pid: int, root: Path, environ: Mapping[str, str]) -> Servers:
    """The servers of a mode, and of nothing else: neither kept ones nor such that a URL in the environment names.

    Only ``external`` goes by URLs, which is what it means. Raises ServerError.
    """
    from harness.servers import open_servers
    from harness.servers.embedded import embedded_servers

    mode = resolve_mode(mode, {})
    if mode == MODES[0]:
        return embedded_servers(run_id, owner_pid)
    return open_servers(mode, run_id=run_id, owner_pid=owner_pid, root=root, environ=environ_of(mode, environ))


def environ_of(mode: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would lead a run elsewhere than its mode says."""
    astray = set() if mode == "external" else {*VARIABLE.values(), "PROMPTSALES_LISTEN", "PROMPTSALES_ALLOW"}
    return {name: value for name, value in environ.items() if name not in astray | {MODE_VARIABLE}}


def key_of(evidence: Path) -> str:
    """A case's name in URIs: the folder of its evidence, and of a specification's permutation its schedule, too."""
    schedule = evidence.name.removesuffix(EVIDENCE).rstrip(".")
    return f"{evidence.parent.name}~{schedule}" if schedule else evidence.parent.name


def main() -> int:
    """Run what the order says."""
    order = json.loads(sys.argv[1])
    try:
        with sigterm_ends():
            _run(
                Path(order["file"]),
                Path(order["root"]),
                Path(order["results"]),
                order["mode"],
                frozenset(order["cases"]),
            )
    except HarnessError as error:
        _tell(error="own" if isinstance(error, OWN_WORDS) else type(error).__name__, text=str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    _tell(end=True)
    return 0


def _run(file: Path, root: Path, results: Path, mode: str, wanted: frozenset[str]) -> None:
    from harness.suite import Settings, Suite, new_run_id

    run_id = new_run_id()
    servers = servers_of(mode, run_id, os.getpid(), root, os.environ)
    suite = Suite(Settings(root=root, results=results, run_id=run_id, mode=mode, servers=servers))
    _tell(run=run_id)
    try:
        chosen = [case for case in suite.cases(file) if case.id in wanted]
        suite.prefetch(chosen)
        for case in chosen:
            if case.reason:
                _tell(skipped=case.id, why=case.reason)
                continue
            try:
                result = suite.run(case)
            except ServerUnavailable as error:
                _tell(skipped=case.id, why=str(error))
                continue
            except StoreError:
                raise
            except HarnessError as error:
                own = isinstance(error, OWN_WORDS)
                _tell(broken=case.id, error="own" if own else type(error).__name__, text=str(error))
                continue
            _tell(case=case.id, key=key_of(result.path), seconds=round(result.seconds, 3))
    finally:
        suite.finish({"asked by": "mcp"})


def _tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main())
