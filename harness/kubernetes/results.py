"""What runs in the cluster left on its volume, brought here: a pod that reads, tar through kubectl exec, and nothing else.

The archive is somebody else's: it is taken whole or not at all, and nothing of it leaves its folder.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import HostError, StoreError
from harness.kubernetes.kubectl import Kubectl, stuck
from harness.kubernetes.parts import PART_OF
from harness.kubernetes.running import JOB

CLAIM = "results"
_MOUNTED = "/results"
_LIVES = 900
"""Seconds after which the cluster itself ends a reader that we could not delete."""


def reader(name: str, image: str, pull_secrets: list[Any]) -> dict[str, Any]:
    """A pod that does nothing, with the results mounted to be read."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/name": "results-reader",
                "app.kubernetes.io/part-of": PART_OF,
                "app.kubernetes.io/component": "harness",
            },
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _LIVES,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": pull_secrets,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "reader",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", str(_LIVES)],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"memory": "128Mi", "ephemeral-storage": "16Mi"},
                    },
                    "volumeMounts": [{"name": CLAIM, "mountPath": _MOUNTED, "readOnly": True}],
                }
            ],
            "volumes": [{"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }


def fetch(kubectl: Kubectl, target: Path, *, seconds: float = 180, pause: float = 1.0) -> list[Path]:
    """Bring every run's folder into ``target``, one that is there already replaced; gives them, oldest first.

    Raises HostError (no pod, no archive, or one that is not to be trusted), StoreError (nothing can be written here).
    """
    pod = kubectl.read("get", "job", JOB)["spec"]["template"]["spec"]
    container = next((one for one in pod["containers"] if one["name"] == JOB), pod["containers"][0])
    made = reader(f"results-reader-{secrets.token_hex(4)}", container["image"], pod.get("imagePullSecrets", []))
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target) as folder:
            archive = Path(folder) / "results.tar"
            with _pod(kubectl, made, seconds, pause) as name:
                _copy(kubectl, name, archive)
            _unpack(archive, Path(folder) / "runs")
            return _move(Path(folder) / "runs", target)
    except OSError as problem:
        raise StoreError(f"{target} cannot be written: {problem.strerror or problem}") from None


@contextlib.contextmanager
def _pod(kubectl: Kubectl, made: dict[str, Any], seconds: float, pause: float) -> Iterator[str]:
    name = made["metadata"]["name"]
    try:
        kubectl.call("create", "--filename=-", text=json.dumps(made))
        until = time.monotonic() + seconds
        while True:
            pod = kubectl.read("get", "pod", name)
            phase = pod.get("status", {}).get("phase", "Pending")
            if phase == "Running":
                break
            if phase in ("Failed", "Succeeded") or time.monotonic() >= until:
                why = stuck(pod) or f"it is {phase}"
                raise HostError(f"the pod that reads the results did not begin within {seconds:g} s: {why}")
            time.sleep(pause)  # kubectl waits for one outcome only, and this has several
        yield name
    finally:
        with contextlib.suppress(HostError):  # it ends by itself, and what went wrong before is what matters
            kubectl.call("delete", "pod", name, "--ignore-not-found", "--wait=false")


def _copy(kubectl: Kubectl, pod: str, archive: Path) -> None:
    """The archive, whole. Raises HostError for one that was cut."""
    with archive.open("wb") as out:
        done = subprocess.run(
            kubectl.argv("exec", pod, "--", "tar", "-C", _MOUNTED, "-cf", "-", "."),
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        raise HostError(
            f"the archive of results was cut: {kubectl.why(done.stderr.decode(errors='replace'), 'exec', pod)}"
        )
    size = archive.stat().st_size
    with archive.open("rb") as written:
        written.seek(max(size - 1024, 0))
        if size < 1024 or size % 512 or written.read().strip(b"\0"):  # an archive ends with two empty blocks
            raise HostError(f"the archive of results was cut after {size} bytes: nothing was taken; try again")


def _unpack(archive: Path, folder: Path) -> None:
    """Files and folders only, by names alone: not by ``extractall``, whose filters some Pythons of 3.11 do not have."""
    folder.mkdir()
    try:
        with tarfile.open(archive, "r:") as packed:
            for member in packed:
                name = PurePosixPath(member.name)
                if member.issym() and len(name.parts) == 1:
                    continue  # latest, which is the cluster's: here it would be in the way of our own
                plain = member.isfile() or member.isdir()
                if not plain or name.is_absolute() or ".." in name.parts or "\\" in member.name:
                    raise HostError(
                        f"the archive of results has what leaves its folder, and nothing was taken: {member.name!r}"
                    )
                place = folder / name
                (place if member.isdir() else place.parent).mkdir(parents=True, exist_ok=True)
                if content := packed.extractfile(member):
                    with content, place.open("xb") as out:
                        shutil.copyfileobj(content, out)
    except tarfile.TarError as problem:
        raise HostError(f"the archive of results cannot be read, and nothing was taken: {problem}") from None


def _move(folder: Path, target: Path) -> list[Path]:
    """Each run's folder to its place."""
    moved: list[Path] = []
    for run in sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith((".", "lost+found"))):
        place = target / run.name
        if place.is_symlink() or place.is_file():
            raise StoreError(f"{place} is in the way of a run of that name")
        if place.exists():
            shutil.rmtree(place)
        moved.append(run.rename(place))
    return moved
