"""``harness kubernetes run | watch | fetch | agent``: a run inside a cluster, and what it left."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from harness.errors import HostError
from harness.kubernetes.agent import KEYS
from harness.kubernetes.parts import PART_OF, SSH_PORT
from harness.terminal import short, tell

if TYPE_CHECKING:
    from harness.kubernetes.kubectl import Kubectl

Context = Annotated[
    str, typer.Option("--kube-context", metavar="NAME", help="a context of kubectl (default: its current one)")
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="where PromptSales is")]


def run(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- PYTEST ARGS]", help="for pytest, in place of the Job's own")
    ] = None,
    kube_context: Context = "",
    namespace: Namespace = PART_OF,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="how long its pod may take to begin")] = 600,
) -> None:
    """Run pytest in the cluster, and tell what it says. The exit code is pytest's; Ctrl-C only stops looking."""
    from harness.kubernetes.kubectl import Kubectl
    from harness.kubernetes.running import rerun

    _look(Kubectl(kube_context, namespace), lambda kubectl: rerun(kubectl, arguments or [], tell, seconds=seconds))


def watch(
    kube_context: Context = "",
    namespace: Namespace = PART_OF,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="how long its pod may take to begin")] = 1800,
) -> None:
    """Look at the run that the cluster's Job makes. The exit code is pytest's; Ctrl-C only stops looking."""
    from harness.kubernetes.kubectl import Kubectl
    from harness.kubernetes.running import watch as watch_job

    _look(Kubectl(kube_context, namespace), lambda kubectl: watch_job(kubectl, tell, seconds=seconds))


def _look(kubectl: Kubectl, run_there: Callable[[Kubectl], int]) -> NoReturn:
    chosen = f" --kube-context {kubectl.context}" if kubectl.context else ""
    chosen += f" -n {kubectl.namespace}" if kubectl.namespace != PART_OF else ""
    try:
        code = run_there(kubectl)
    except KeyboardInterrupt:
        tell(f"it goes on without us; to look again: harness kubernetes watch{chosen}", error=True)
        raise typer.Exit(130) from None
    tell(f"what it left: harness kubernetes fetch{chosen}")
    raise typer.Exit(code)


def fetch(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="where to")] = Path("results"),
    kube_context: Context = "",
    namespace: Namespace = PART_OF,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, help="how long the reading pod may take to begin")
    ] = 180,
) -> None:
    """Bring the results of the cluster's runs here."""
    from harness.kubernetes.kubectl import Kubectl
    from harness.kubernetes.results import fetch as fetch_results

    runs = fetch_results(Kubectl(kube_context, namespace), folder.resolve(), seconds=seconds)
    for one in runs:
        page = one / "report.html"
        tell(f"evidence: {short(one)}" + (f"   report: {short(page)}" if page.exists() else ""))
    if not runs:
        tell("the cluster has no results yet: harness kubernetes run")


def agent(
    keys: Annotated[Path, typer.Option("--keys", help="the folder of the host key and of authorized_keys")] = KEYS,
    port: Annotated[int, typer.Option("--port", min=1024, max=65535, help="where it listens")] = SSH_PORT,
    address: Annotated[list[str] | None, typer.Option("--address", help="on which addresses (default: all)")] = None,
) -> None:
    """Be a machine that sessions run on: in a pod, an ssh server."""
    from harness.kubernetes.agent import prepare

    command = prepare(keys, port, tuple(address or ("0.0.0.0", "::")))
    try:
        os.execv(command[0], command)
    except OSError as problem:
        raise HostError(f"{command[0]} cannot be run: {problem.strerror}") from None
