"""``harness kubernetes run`` and ``fetch``, with a kubectl that plays a cluster."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from polling import eventually
from stopping import hears_ctrl_c

from harness.kubernetes.kubectl import Kubectl
from harness.kubernetes.results import reader
from harness.kubernetes.running import remake

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the kubectl of these tests is a script")

FAKE = Path(__file__).with_name("fake_kubectl.py")
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "harness",
        "namespace": "promptsales",
        "uid": "1",
        "resourceVersion": "9",
        "labels": {"app.kubernetes.io/name": "harness"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "why": "told"},
    },
    "spec": {
        "backoffLimit": 0,
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "1"}},
        "template": {
            "metadata": {"labels": {"app.kubernetes.io/name": "harness", "job-name": "harness", "controller-uid": "1"}},
            "spec": {
                "containers": [
                    {
                        "name": "harness",
                        "image": "registry.example/promptsales-harness:0.1.0",
                        "command": ["pytest", "-p", "no:cacheprovider"],
                        "args": [
                            "scenarios",
                            "--servers=external",
                            "--tx",
                            "ssh=a//id=pc1",
                            "--tx",
                            "ssh=b",
                            "-m",
                            "x",
                        ],
                    }
                ]
            },
        },
    },
    "status": {"succeeded": 1},
}


def pod(state: dict[str, Any], phase: str = "Running", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "harness-x1"},
        "spec": {"containers": [{"name": "harness"}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "harness", "state": state}], **status},
    }


PENDING = pod({"waiting": {"reason": "ContainerCreating"}}, "Pending")
RUNNING = pod({"running": {}})


def ended(code: int) -> dict[str, Any]:
    return pod({"terminated": {"exitCode": code}}, "Succeeded" if not code else "Failed")


class Cluster:
    """A folder that the fake kubectl reads, and ``harness`` asked about it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "bin" / "kubectl"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
        program.chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "FAKE_CLUSTER": str(folder),
        }

    def is_(self, **world: Any) -> None:
        whole = {
            "job": JOB,
            "pods": [PENDING, RUNNING, RUNNING, ended(0)],
            "reader": [PENDING, RUNNING],
            "created": None,
        }
        (self.folder / "world.json").write_text(json.dumps(whole | world))

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from harness.cli import main; main()", "kubernetes", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.folder,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            preexec_fn=hears_ctrl_c,
        )

    def harness(self, *words: str) -> tuple[int, str, str]:
        asked = self.start(*words)
        out, err = asked.communicate(timeout=60)
        return asked.returncode, out, err

    def calls(self, verb: str = "") -> list[dict[str, Any]]:
        file = self.folder / "calls.jsonl"
        every = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [one for one in every if verb in one["words"]]

    def packed(self, members: dict[str, str], change: Callable[[tarfile.TarInfo], None] = lambda info: None) -> None:
        with tarfile.open(self.folder / "results.tar", "w") as archive:
            for name, text in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                change(info)
                archive.addfile(info, io.BytesIO(text.encode()))


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    made = Cluster(tmp_path)
    made.is_()
    return made


# -- run


def test_the_job_is_made_anew_with_other_arguments(cluster: Cluster) -> None:
    code, out, err = cluster.harness("run", "--kube-context", "kind-kind", "--", "scenarios/deadlock", "-m", "two_host")
    assert (code, err) == (0, "")
    assert "1 passed" in out
    assert "harness kubernetes fetch" in out
    (deleted,) = cluster.calls("delete")
    assert {"job", "harness", "--wait=true", "--context=kind-kind", "--namespace=promptsales"} <= {*deleted["words"]}
    (created,) = cluster.calls("create")
    made = json.loads(created["text"])
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["pytest", "-p", "no:cacheprovider"]
    assert container["args"] == [
        *("--servers=external", "--tx", "ssh=a//id=pc1", "--tx", "ssh=b"),
        *("scenarios/deadlock", "-m", "two_host"),
    ]
    assert all("--context=kind-kind" in one["words"] for one in cluster.calls() if "config" not in one["words"])


def test_nothing_that_the_cluster_had_set_is_given_back() -> None:
    made = remake(JOB, [])
    assert "status" not in made
    assert made["metadata"] == {
        "name": "harness",
        "namespace": "promptsales",
        "labels": {"app.kubernetes.io/name": "harness"},
        "annotations": {"why": "told"},
    }
    assert "selector" not in made["spec"]
    assert made["spec"]["template"]["metadata"]["labels"] == {"app.kubernetes.io/name": "harness"}
    was, now = (one["spec"]["template"]["spec"]["containers"] for one in (JOB, made))
    assert now == was  # no arguments: the same once more
    assert JOB["metadata"]["uid"] == "1"  # and the old one was left alone


def test_machines_that_are_said_anew_take_the_places_of_the_jobs() -> None:
    made = remake(JOB, ["scenarios", "--tx=id=pc1//popen"])
    args = made["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == ["--servers=external", "scenarios", "--tx=id=pc1//popen"]


def test_the_run_of_the_job_that_is_there_is_watched(cluster: Cluster) -> None:
    image = pod({"waiting": {"reason": "ErrImagePull", "message": "not yet"}}, "Pending")
    cluster.is_(pods=[PENDING, PENDING, image, RUNNING, ended(1)], log="1 failed")
    code, out, err = cluster.harness("watch")
    assert (code, err) == (1, "")
    assert (
        out.index("its pod harness-x1 is Pending") < out.index("harness: ErrImagePull: not yet") < out.index("failed")
    )
    assert out.count("is Pending") == 1
    assert "harness kubernetes fetch" in out
    assert not cluster.calls("delete")
    assert not cluster.calls("create")


def test_there_is_nothing_to_watch(cluster: Cluster) -> None:
    cluster.is_(job=None)
    code, _, err = cluster.harness("watch")
    assert code == 3
    assert 'jobs.batch "harness" not found' in err


def test_the_exit_code_is_pytests(cluster: Cluster) -> None:
    cluster.is_(pods=[RUNNING, ended(5)], log="no tests ran")
    code, out, _ = cluster.harness("run", "--", "nothing")
    assert code == 5
    assert "no tests ran" in out


def test_a_context_that_is_not_there(cluster: Cluster) -> None:
    code, out, err = cluster.harness("run", "--kube-context", "kind-kidn")
    assert (code, out) == (3, "")
    assert "there is no context 'kind-kidn', did you mean 'kind-kind'?; there are home, kind-kind" in err
    assert not cluster.calls("delete")


def test_no_job_yet_deletes_nothing(cluster: Cluster) -> None:
    cluster.is_(job=None)
    code, _, err = cluster.harness("run")
    assert code == 3
    assert 'jobs.batch "harness" not found' in err
    assert not cluster.calls("delete")


def test_a_pod_that_never_begins_says_why(cluster: Cluster) -> None:
    image = pod({"waiting": {"reason": "ErrImageNeverPull", "message": "no such image"}}, "Pending")
    cluster.is_(pods=[image])
    code, _, err = cluster.harness("run", "--seconds", "1")
    assert code == 3
    assert "has not begun for 1 s: harness: ErrImageNeverPull: no such image; it was left as it is: kubectl -n" in err
    unscheduled = pod(
        {}, "Pending", conditions=[{"status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]
    )
    cluster.is_(pods=[unscheduled])
    assert "no node takes it: 0/2 nodes" in cluster.harness("run", "--seconds", "1")[2]


def test_an_init_container_that_failed_is_not_waited_for(cluster: Cluster) -> None:
    cluster.is_(pods=[pod({"waiting": {"reason": "PodInitializing"}}, "Failed")])
    code, _, err = cluster.harness("run", "--seconds", "600")
    assert code == 3
    assert "failed before pytest began" in err


def test_a_new_job_that_is_refused_says_that_the_old_one_is_gone(cluster: Cluster) -> None:
    cluster.is_(refuses='jobs.batch "harness" is forbidden: exceeded quota')
    code, _, err = cluster.harness("run")
    assert code == 3
    assert "exceeded quota; the Job harness is gone now: kubectl apply -k brings it back" in err


def test_who_stops_looking_deletes_nothing_and_is_told_how_to_look_again(cluster: Cluster) -> None:
    cluster.is_(hangs=True)
    looking = cluster.start("run", "--kube-context", "kind-kind")
    eventually(lambda: cluster.calls("logs"), "the log is streamed")
    before = len(cluster.calls("delete"))
    looking.send_signal(signal.SIGINT)
    _, err = looking.communicate(timeout=30)
    assert looking.returncode == 130
    assert "to look again: harness kubernetes watch --kube-context kind-kind" in err
    assert len(cluster.calls("delete")) == before
    assert "Traceback" not in err


def test_no_kubectl_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from harness.errors import HostError

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(HostError, match="there is no kubectl here: install it"):
        Kubectl().call("version")


# -- fetch


def test_results_are_fetched_by_a_pod_that_goes(cluster: Cluster) -> None:
    cluster.packed(
        {"./20260101T1-a/report.html": "<p>", "./20260101T1-a/evidence/x.json": "{}", "./README.md": "no run"}
    )
    old = cluster.folder / "results" / "20260101T1-a"
    (old / "half").mkdir(parents=True)
    code, out, err = cluster.harness("fetch")
    assert (code, err) == (0, "")
    assert "results/20260101T1-a/report.html" in out
    assert (old / "evidence" / "x.json").read_text() == "{}"
    assert not (old / "half").exists()
    assert sorted(one.name for one in (cluster.folder / "results").iterdir()) == ["20260101T1-a"]
    (created,) = cluster.calls("create")
    made = json.loads(created["text"])
    (deleted,) = cluster.calls("delete")
    assert made["metadata"]["name"] in deleted["words"]
    assert made["spec"]["containers"][0]["image"] == "registry.example/promptsales-harness:0.1.0"


def test_the_newest_run_there_is_not_the_newest_here(cluster: Cluster) -> None:
    results = cluster.folder / "results"
    (results / "20260102T1-b").mkdir(parents=True)
    (results / "latest").symlink_to("20260102T1-b")
    with tarfile.open(cluster.folder / "results.tar", "w") as archive:
        for name, kind, to in (
            ("./latest", tarfile.SYMTYPE, "20260101T1-a"),
            ("./.latest-7", tarfile.SYMTYPE, "/"),
            ("./20260101T1-a", tarfile.DIRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, to, 0o755
            archive.addfile(info)
    assert cluster.harness("fetch")[::2] == (0, "")
    assert sorted(one.name for one in results.iterdir()) == ["20260101T1-a", "20260102T1-b", "latest"]
    assert (results / "latest").readlink() == Path("20260102T1-b")


def test_the_reader_may_do_little() -> None:
    spec = reader("r", "i", [])["spec"]
    assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["volumeMounts"] == [{"name": "results", "mountPath": "/results", "readOnly": True}]


def nothing_was_taken(cluster: Cluster, said: str, *words: str) -> None:
    code, _, err = cluster.harness("fetch", "here", *words)
    assert code == 3
    assert said in err
    assert "Traceback" not in err
    assert list((cluster.folder / "here").iterdir()) == []
    assert cluster.calls("delete")


@pytest.mark.parametrize("cut", [700, 1024, 2048])
def test_an_archive_that_was_cut(cluster: Cluster, cut: int) -> None:
    cluster.packed({"./20260101T1-a/report.html": "x" * 3000})
    cluster.is_(cut=cut)
    nothing_was_taken(cluster, f"was cut after {cut} bytes: nothing was taken")


def test_an_archive_whose_tar_failed(cluster: Cluster) -> None:
    cluster.packed({"./20260101T1-a/report.html": "x"})
    cluster.is_(exec_fails=True)
    nothing_was_taken(cluster, "the archive of results was cut: kubectl -n promptsales exec")


def link(kind: bytes, to: str) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, to, 0

    return change


def device(info: tarfile.TarInfo) -> None:
    info.type, info.size = tarfile.CHRTYPE, 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("../../escaped", lambda info: None),
        ("20260101T1-a/../../../escaped", lambda info: None),
        ("/escaped", lambda info: None),
        ("20260101T1-a/..\\..\\escaped", lambda info: None),
        ("20260101T1-a/link", link(tarfile.SYMTYPE, "/etc/passwd")),
        ("20260101T1-a/link", link(tarfile.SYMTYPE, "x")),
        ("20260101T1-a/link", link(tarfile.SYMTYPE, "../../..")),
        ("20260101T1-a/link", link(tarfile.LNKTYPE, "../../../world.json")),
        ("20260101T1-a/device", device),
    ],
)
def test_a_hostile_archive(cluster: Cluster, name: str, change: Callable[[tarfile.TarInfo], None]) -> None:
    cluster.packed({name: "evil"}, change)
    nothing_was_taken(cluster, "has what leaves its folder, and nothing was taken")
    assert not any(cluster.folder.rglob("escaped"))


def test_what_is_no_archive(cluster: Cluster) -> None:
    (cluster.folder / "results.tar").write_bytes(b"hello".ljust(512, b"!") + b"\0" * 1024)
    nothing_was_taken(cluster, "cannot be read, and nothing was taken")


def test_a_reader_that_never_begins(cluster: Cluster) -> None:
    cluster.is_(reader=[pod({"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}}, "Pending")])
    nothing_was_taken(cluster, "did not begin within 1 s: harness: ImagePullBackOff: back-off", "--seconds", "1")
