"""Every overlay can be made, and Kubernetes' own schemas take what it makes."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from k8s_build import BUILDS, INSTEAD, K8S, ROOT, WORKLOADS, Object, build, kustomize
from kubernetes_validate import utils

pytestmark = pytest.mark.k8s_manifests

VERSIONS = utils.all_versions()
NEWEST = list(dict.fromkeys(utils.major_minor(one) for one in VERSIONS))[-2:]
"""The two newest minor versions of Kubernetes that the package has schemas of."""

OPERATORS = {
    "postgresql.cnpg.io/v1 Cluster": "CloudNativePG",
    "external-secrets.io/v1 ExternalSecret": "External Secrets Operator",
}
"""Kinds that an operator brings, so Kubernetes has no schema of them."""


def kind(one: Object) -> str:
    return f"{one['apiVersion']} {one['kind']}"


@pytest.fixture(autouse=True, scope="module")
def _schemas_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


def validated(one: Object, version: str) -> str:
    """What is wrong with it, or nothing."""
    return _validated(json.dumps(one), version)


@cache
def _validated(text: str, version: str) -> str:
    one = json.loads(text)
    try:
        utils.validate(one, version, strict=True)
    except utils.ValidationError as problem:
        return f"{one['kind']} {one['metadata']['name']} {'.'.join(map(str, problem.path))}: {problem.message}"
    except utils.SchemaNotFoundError:
        return f"{one['kind']} {one['metadata']['name']}: {version} knows no {kind(one)}"
    return ""


@pytest.mark.parametrize("name", BUILDS)
def test_it_is_made_without_a_warning(name: str) -> None:
    made = build(name)
    assert made.objects
    assert made.said == ""


@pytest.mark.parametrize("name", BUILDS)
def test_what_it_runs(name: str) -> None:
    wanted = {part: INSTEAD.get((name, part), kind) for part, kind in WORKLOADS.items()}
    assert {pod.name: pod.kind for pod in build(name).pods} == wanted


@pytest.mark.parametrize("name", BUILDS)
def test_nothing_is_there_twice(name: str) -> None:
    seen = Counter((kind(one), one["metadata"]["name"]) for one in build(name).objects)
    assert [one for one, times in seen.items() if times > 1] == []


@pytest.mark.parametrize("name", BUILDS)
def test_everything_is_in_the_namespace_and_says_what_it_is_part_of(name: str) -> None:
    is_ours(build(name).objects)


@pytest.mark.parametrize("page", ["docs/kubernetes.md", "k8s/README.md"])
def test_an_overlay_that_a_page_shows_can_be_made(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text("utf-8")
    shown = [one for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "resources:" in one]
    assert shown
    shutil.copytree(K8S, tmp_path / "k8s")
    for number, one in enumerate(shown):
        folder = tmp_path / "k8s" / "overlays" / f"mine-{number}"
        folder.mkdir()
        (folder / "kustomization.yaml").write_text(one, "utf-8")
        made, said = kustomize(folder)
        assert said == ""
        is_ours([found for found in yaml.safe_load_all(made) if found])


def is_ours(objects: Iterable[Object]) -> None:
    for one in objects:
        meta = one["metadata"]
        if one["kind"] == "Namespace":
            assert meta["name"] == "promptsales"
        else:
            assert meta.get("namespace") == "promptsales", f"{kind(one)} {meta['name']}"
        assert meta.get("labels", {}).get("app.kubernetes.io/part-of") == "promptsales", f"{kind(one)} {meta['name']}"


@pytest.mark.parametrize("version", NEWEST)
@pytest.mark.parametrize("name", BUILDS)
def test_kubernetes_takes_it(name: str, version: str) -> None:
    wrong = [validated(one, version) for one in build(name).objects if kind(one) not in OPERATORS]
    assert [one for one in wrong if one] == []


def test_operators_kinds_are_used_and_unknown_to_kubernetes() -> None:
    used = {kind(one): one for name in BUILDS for one in build(name).objects if kind(one) in OPERATORS}
    assert set(used) == set(OPERATORS)
    assert all("knows no" in validated(one, NEWEST[-1]) for one in used.values())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(replica=2),
        lambda spec: spec.update(replicas="two"),
        lambda spec: spec["template"]["spec"]["containers"][0].update(resource={}),
        lambda spec: spec.pop("selector"),
    ],
    ids=["unknown field", "wrong type", "unknown field of a container", "lacks a field"],
)
def test_a_spoilt_manifest_is_refused(spoil: Any) -> None:
    one = copy.deepcopy(dict(build("dev").one("Deployment", "mcp")))
    assert validated(one, NEWEST[-1]) == ""
    spoil(one["spec"])
    assert validated(one, NEWEST[-1])
