"""The manifests, as far as they can be checked without a cluster; they have never run on one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.etl import hop
from harness.etl.hop_home import IMAGE
from harness.etl.model import PERIOD

pytestmark = pytest.mark.etl

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "k8s"
CRON, RESIDENT = "base/etl/cronjob.yaml", "components/etl-resident/deployment.yaml"
FILES = {CRON: "delta", RESIDENT: "every11"}


def manifest(name: str) -> dict[str, Any]:
    (made,) = yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
    return made


def pod(name: str) -> dict[str, Any]:
    spec = manifest(name)["spec"]
    return (spec["jobTemplate"]["spec"] if name == CRON else spec)["template"]["spec"]


def test_the_cronjob_does_not_overlap_and_says_what_cron_can() -> None:
    job = manifest(CRON)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["schedule"] == f"*/{PERIOD // 60} * * * *"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod(CRON)["restartPolicy"] == "Never"
    assert "5 minutes" in (FOLDER / CRON).read_text("utf-8")


def test_the_deployment_is_never_two() -> None:
    made = manifest(RESIDENT)
    assert (made["apiVersion"], made["kind"]) == ("apps/v1", "Deployment")
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["strategy"] == {"type": "Recreate"}
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", FILES)
def test_the_workflow_is_there(name: str) -> None:
    env = {one["name"]: one["value"] for one in pod(name)["containers"][0]["env"]}
    path = env["HOP_FILE_PATH"].removeprefix("${PROJECT_HOME}/")
    assert (hop.FOLDER / path).is_file()
    assert Path(path).stem == FILES[name]
    assert (hop.FOLDER / env["HOP_PROJECT_CONFIG_FILE_NAME"]).is_file()
    runs = hop.FOLDER / "metadata" / "workflow-run-configuration"
    assert (runs / f"{env['HOP_RUN_CONFIG']}.json").is_file()
    flags = set(env["HOP_OPTIONS"].split())
    assert {"-Duser.timezone=UTC", "-Dfile.encoding=UTF-8"} <= flags <= {*hop.FLAGS}


@pytest.mark.parametrize("name", FILES)
def test_it_may_do_little(name: str) -> None:
    spec = pod(name)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"] + spec["initContainers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_to_is_a_volume(name: str) -> None:
    """The root file system is read-only: every path that Hop is told to write to lies on a volume that is not."""
    spec = pod(name)
    volumes = {one["name"]: one for one in spec["volumes"]}
    container = spec["containers"][0]
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    writable = [path for path, volume in mounts.items() if "emptyDir" in volumes[volume]]
    env = {one["name"]: one["value"] for one in container["env"]}
    for variable in ("HOP_PROJECT_FOLDER", "HOP_CONFIG_FOLDER", "HOP_AUDIT_FOLDER", "HOP_LOG_PATH", "HOME"):
        assert any(Path(env[variable]).is_relative_to(path) for path in writable), variable
    secret = volumes[mounts["/secret"]]["secret"]
    assert Path(env["HOP_ENVIRONMENT_CONFIG_FILE_NAME_PATHS"]).parent == Path("/secret")
    assert secret["secretName"] == "etl-variables"


def test_there_are_no_secrets() -> None:
    for file in (FOLDER / name for name in (*FILES, "etl/Dockerfile")):
        text = file.read_text("utf-8")
        assert not re.search(r"(?i)password\s*[:=]\s*\S|\w+://[^\s/@]+:[^\s/@]+@", text), file
        assert "kind: Secret" not in text


def test_the_image_is_the_one_that_docker_runs_here_and_holds_what_is_in_etl() -> None:
    text = (FOLDER / "etl/Dockerfile").read_text("utf-8")
    assert f"FROM {IMAGE}\n" in text
    copied = re.findall(r"^COPY \S+ (\S+) /project", text, re.MULTILINE)
    for path in copied:
        assert (ROOT / path).exists()
    names = {Path(path).name for path in copied}
    needed = {one.name for one in hop.FOLDER.iterdir() if one.suffix != ".md"}
    assert needed <= names
    images = {c["image"] for name in FILES for c in pod(name)["containers"] + pod(name)["initContainers"]}
    assert len(images) == 1
