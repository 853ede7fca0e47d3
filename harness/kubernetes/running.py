"""The Job ``harness`` made anew: the same pod with other arguments of pytest, looked at until it ends."""

from __future__ import annotations

import copy
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import HostError
from harness.kubernetes.kubectl import Kubectl, stuck

JOB = "harness"

_SET_BY_THE_CLUSTER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_OF_THE_OLD_JOB = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")
_THE_CLUSTERS = ("--servers", "--tx", "--results", "--rsyncdir")
"""Options of pytest that say where things are: they stay, unless the new arguments say them too."""


def remake(job: dict[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """A Job as it was written, with ``arguments`` for pytest in place of its own. No arguments: the same once more."""
    fresh = copy.deepcopy(job)
    fresh.pop("status", None)
    metadata, spec = fresh["metadata"], fresh["spec"]
    for name in _SET_BY_THE_CLUSTER:
        metadata.pop(name, None)
    metadata.get("annotations", {}).pop(_LAST_APPLIED, None)
    spec.pop("selector", None)
    spec.pop("suspend", None)
    for labels in (metadata.get("labels", {}), spec["template"].get("metadata", {}).get("labels", {})):
        for name in _OF_THE_OLD_JOB:
            labels.pop(name, None)
    spec["template"].get("metadata", {}).pop("creationTimestamp", None)
    if arguments:
        container = _container(spec["template"]["spec"])
        given = {word.partition("=")[0] for word in arguments}
        container["args"] = [*_kept(container.get("args", []), given), *arguments]
    return fresh


def _container(pod: dict[str, Any]) -> dict[str, Any]:
    every: list[dict[str, Any]] = pod["containers"]
    return next((one for one in every if one["name"] == JOB), every[0])


def _kept(words: Sequence[str], given: set[str]) -> list[str]:
    """What of a Job's own arguments says where things are.

    >>> _kept(["scenarios", "--tx", "ssh=a", "--servers=external", "-m", "x"], {"--servers"})
    ['--tx', 'ssh=a']
    """
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        name, said, _ = word.partition("=")
        if name in _THE_CLUSTERS:
            whole = [word] if said else [word, *([value] if (value := next(rest, None)) is not None else [])]
            kept += whole if name not in given else []
    return kept


def rerun(
    kubectl: Kubectl,
    arguments: Sequence[str],
    say: Callable[[str], None],
    *,
    seconds: float = 600,
    pause: float = 1.0,
) -> int:
    """Make the Job anew and stream its log; gives pytest's exit code.

    ``seconds`` is how long its pod may take to begin. Raises HostError; KeyboardInterrupt leaves everything as it is.
    """
    old = kubectl.read("get", "job", JOB)
    fresh = json.dumps(remake(old, arguments))
    kubectl.call(
        "delete", "job", JOB, "--cascade=foreground", "--wait=true", f"--timeout={seconds:g}s", seconds=seconds + 30
    )
    try:
        kubectl.call("create", "--filename=-", text=fresh)
    except HostError as problem:
        raise HostError(f"{problem}; the Job {JOB} is gone now: kubectl apply -k brings it back") from None
    say(f"the Job {JOB} runs anew; Ctrl-C only stops looking")
    return watch(kubectl, say, seconds=seconds, pause=pause)


def watch(kubectl: Kubectl, say: Callable[[str], None], *, seconds: float = 1800, pause: float = 1.0) -> int:
    """Tell what the Job that is there waits for, stream its log; gives pytest's exit code. Otherwise as :func:`rerun`."""
    kubectl.read("get", "job", JOB)
    pod = _begun(kubectl, say, seconds, pause)
    subprocess.run(kubectl.argv("logs", "--follow", "--container", _name(pod), pod["metadata"]["name"]), check=False)
    return _ended(kubectl, pod["metadata"]["name"], pause)


def _name(pod: dict[str, Any]) -> str:
    return str(_container(pod["spec"])["name"])


def _state(pod: dict[str, Any]) -> dict[str, Any]:
    """The state of the container that runs pytest."""
    for one in pod.get("status", {}).get("containerStatuses", []):
        if one["name"] == _name(pod):
            state: dict[str, Any] = one.get("state", {})
            return state
    return {}


def _begun(kubectl: Kubectl, say: Callable[[str], None], seconds: float, pause: float) -> dict[str, Any]:
    """The pod, once pytest runs in it or has ended. Raises HostError with what the pod says of itself."""
    until = time.monotonic() + seconds
    why, told = "no pod was made", ""
    while True:
        pod: dict[str, Any]
        for pod in reversed(kubectl.read("get", "pods", f"--selector=job-name={JOB}")["items"]):
            if _state(pod).keys() & {"running", "terminated"}:
                return pod
            phase = pod.get("status", {}).get("phase", "Pending")
            why = stuck(pod) or f"its pod {pod['metadata']['name']} is {phase}"
            if phase == "Failed":  # in an init container, or refused by the node
                raise HostError(f"the Job {JOB} failed before pytest began: {why}")
        if time.monotonic() >= until:
            raise HostError(
                f"the Job {JOB} has not begun for {seconds:g} s: {why}; it was left as it is: "
                + kubectl.spoken("describe", "pods", "-l", f"job-name={JOB}")
            )
        if why != told:
            say(f"waiting: {why}")
            told = why
        time.sleep(pause)  # kubectl waits for one outcome only, and this has several


def _ended(kubectl: Kubectl, pod: str, pause: float) -> int:
    """The exit code, once the container has one; the log may be cut off before (a node's restart, a proxy's patience)."""
    said = False
    while True:
        found = kubectl.read("get", "pod", pod)
        if ended := _state(found).get("terminated"):
            return int(ended.get("exitCode", 1))
        if found.get("status", {}).get("phase") == "Failed":
            reason = found["status"].get("reason") or "nobody says why"
            raise HostError(f"the pod {pod} was ended from outside: {reason}")
        if said:  # its log ended and it did not: look again, from where it was
            subprocess.run(
                kubectl.argv("logs", "--follow", "--since=1s", "--container", _name(found), pod), check=False
            )
        said = True
        time.sleep(pause)
