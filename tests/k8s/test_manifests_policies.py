"""What holds for every pod, and the few places where it does not, each with its reason."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from k8s_build import BUILDS, INSTEAD, K8S, WORKLOADS, Build, Object, Pod, build, pods_of

from harness.kubernetes.parts import PART_OF, SERVERS, url_secret
from harness.kubernetes.secrets import KEYS
from harness.servers.images import IMAGES

pytestmark = pytest.mark.k8s_manifests

_WRITES = "SQL Server writes beside its programs, in its image's own folders"
_BINDS = "the file sqlservr asks for it and does not start where the bounding set lacks it; restricted allows this one"
EXCEPTIONS = {
    ("sqlserver-ads", "sqlserver", "readOnlyRootFilesystem"): _WRITES,
    ("sqlserver-crm", "sqlserver", "readOnlyRootFilesystem"): _WRITES,
    ("sqlserver-ads", "sqlserver", "adds NET_BIND_SERVICE"): _BINDS,
    ("sqlserver-crm", "sqlserver", "adds NET_BIND_SERVICE"): _BINDS,
}
"""Workload, container, rule: why it does not hold there."""

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
"""What Pod Security's level *restricted* lets a pod mount."""
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

CASES = [(one, part) for one in BUILDS for part in WORKLOADS if INSTEAD.get((one, part)) != "Cluster"]
LOGINS = [(one, part) for one, part in CASES if part in {server.name for server in SERVERS.values()}]

Fault = tuple[str, str]
"""Container ("" for the pod as a whole), rule."""


def faults(pod: Pod) -> Iterator[Fault]:
    """Each rule that does not hold."""
    spec = pod.spec
    for field in ("automountServiceAccountToken", "enableServiceLinks"):
        if spec.get(field) is not False:
            yield "", field
    if not isinstance(spec.get("terminationGracePeriodSeconds"), int):
        yield "", "terminationGracePeriodSeconds"
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield "", field
    for volume in spec.get("volumes", ()):
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            yield "", f"volume {volume['name']}"
        if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
            yield "", f"sizeLimit {volume['name']}"
    for container in pod.every:
        for rule in _of_container(pod, container):
            yield container["name"], rule


def _of_container(pod: Pod, container: Object) -> Iterator[str]:
    whole, own = pod.spec.get("securityContext", {}), container.get("securityContext", {})
    context = {**whole, **own}
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if type(context.get("runAsUser")) is not int or context["runAsUser"] <= 0:
        yield "runAsUser"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "seccompProfile"
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if own.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "drops ALL"
    for one in own.get("capabilities", {}).get("add", ()):
        yield f"adds {one}"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem"
    resources = container.get("resources", {})
    for one in ("cpu", "memory"):
        if one not in resources.get("requests", {}):
            yield f"requests {one}"
    if "memory" not in resources.get("limits", {}):
        yield "limits memory"
    if not pinned(container.get("image", "")):
        yield "image"
    if container.get("imagePullPolicy") != "IfNotPresent":
        yield "imagePullPolicy"
    lives = pod.long_running and container in pod.containers
    for one in PROBES:
        if (one in container) != lives:
            yield one
    if told(container):
        yield "password on a command line"


def pinned(image: str) -> bool:
    """Whether it is the same image tomorrow, as far as its name says."""
    if re.search(r"@sha256:[0-9a-f]{64}$", image):
        return True
    tag = re.search(r":([\w.-]+)$", image)
    return tag is not None and tag[1] != "latest" and any(letter.isdigit() for letter in tag[1])


def secret_variables(container: Object) -> set[str]:
    """Environment variables that have something of a Secret in them."""
    named = {one["name"] for one in container.get("env", ()) if "secretKeyRef" in one.get("valueFrom", {})}
    for one in container.get("envFrom", ()):
        if "secretRef" in one:
            named |= {one.get("prefix", "") + key for key in KEYS[one["secretRef"]["name"]]}
    return named


def command_lines(container: Object) -> Iterator[Sequence[str]]:
    """What is run in it, by whom ever."""
    yield [*container.get("command", ()), *container.get("args", ())]
    hooks = container.get("lifecycle", {})
    for one in (*(container.get(probe, {}) for probe in PROBES), *hooks.values()):
        if "exec" in one:
            yield one["exec"]["command"]


def told(container: Object) -> list[str]:
    """Secrets that whoever sees a list of processes could read: expanded by Kubernetes, or given to an option by a shell."""
    found = []
    for line in command_lines(container):
        text = "\n".join(line)
        for name in secret_variables(container):
            value = rf"[\"']?\$(?:\{{{name}\b|{name}\b)"
            option = rf"(?:^|\s)-(?:[pPa]|-[\w-]*(?:pass|auth|secret|password)[\w-]*)(?:\s+|=)?{value}"
            in_url = rf"://[^\s\"']*\$\{{?{name}\b"
            if f"$({name})" in text or re.search(option, text) or re.search(in_url, text):
                found.append(name)
    return found


def logs_in(container: Object) -> bool:
    """Whether its readiness is a login, with the password taken from the environment."""
    command = container.get("readinessProbe", {}).get("exec", {}).get("command")
    if not command:
        return False
    text = " ".join(command)
    if not re.search(r"\b(psql|sqlcmd|mongosh|redis-cli)\b", text):
        return False
    return any(
        re.search(rf"(?:^|\s)(?:PGPASSWORD|SQLCMDPASSWORD|REDISCLI_AUTH)=\"\${name}\"", text)
        or re.search(rf"\.auth\([^)]*process\.env\.{name}\)", text)
        for name in secret_variables(container)
        if "PASSWORD" in name
    )


def excused(made: Build) -> set[tuple[str, str, str]]:
    return {(pod.name, *one) for pod in made.pods if pod.kind != "Cluster" for one in faults(pod)}


@pytest.mark.parametrize(("name", "part"), CASES)
def test_every_pod(name: str, part: str) -> None:
    found = {one for one in faults(build(name).pod(part)) if (part, *one) not in EXCEPTIONS}
    assert found == set()


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=" ".join)
def test_an_exception_is_needed(exception: tuple[str, str, str]) -> None:
    assert exception in excused(build("dev"))
    assert exception in excused(build("prod"))


def test_the_readme_tells_the_exceptions() -> None:
    told = (
        (K8S / "README.md").read_text("utf-8").partition("## Where a pod is not as the others")[2].partition("\n## ")[0]
    )
    words = {"readOnlyRootFilesystem": "root file system"}
    for part, _, rule in EXCEPTIONS:
        assert f"`{part}`" in told
        assert words.get(rule, rule.removeprefix("adds ")) in told
    assert {one for one in re.findall(r"`([\w-]+)`", told) if one in WORKLOADS} == {part for part, _, _ in EXCEPTIONS}


@pytest.mark.parametrize(("name", "part"), LOGINS)
def test_a_servers_image_is_the_harness_own(name: str, part: str) -> None:
    assert {one["image"] for one in build(name).pod(part).every} == {IMAGES[part].name}


def test_the_operators_postgresql_is_of_the_same_version() -> None:
    version = IMAGES["postgresql"].name.partition(":")[2]
    image = build("prod-cnpg").one("Cluster", "promptsales")["spec"]["imageName"]
    assert re.search(rf":{re.escape(version)}(?![\w.])", image), image


@pytest.mark.parametrize(("name", "part"), LOGINS)
def test_a_servers_readiness_is_a_login(name: str, part: str) -> None:
    server = next(one for one in build(name).pod(part).containers if one.get("ports"))
    assert logs_in(server), server.get("readinessProbe")


@pytest.mark.parametrize(("name", "part"), LOGINS)
def test_a_servers_data_outlives_its_pod(name: str, part: str) -> None:
    one = build(name).pod(part).workload["spec"]
    claims = {claim["metadata"]["name"] for claim in one["volumeClaimTemplates"]}
    mounted = {mount["name"] for each in one["template"]["spec"]["containers"] for mount in each["volumeMounts"]}
    assert claims
    assert claims <= mounted


@pytest.mark.parametrize("name", BUILDS)
def test_the_namespace_enforces_it(name: str) -> None:
    labels = build(name).one("Namespace", PART_OF)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


# The rules themselves: each can fail.

_SPOILT: dict[str, Any] = {
    "automountServiceAccountToken": lambda spec, one: spec.pop("automountServiceAccountToken"),
    "enableServiceLinks": lambda spec, one: spec.update(enableServiceLinks=True),
    "terminationGracePeriodSeconds": lambda spec, one: spec.pop("terminationGracePeriodSeconds"),
    "hostNetwork": lambda spec, one: spec.update(hostNetwork=True),
    "sizeLimit tmp": lambda spec, one: spec.update(volumes=[{"name": "tmp", "emptyDir": {}}]),
    "volume tmp": lambda spec, one: spec.update(volumes=[{"name": "tmp", "hostPath": {"path": "/"}}]),
    "runAsNonRoot": lambda spec, one: spec["securityContext"].pop("runAsNonRoot"),
    "runAsUser": lambda spec, one: one["securityContext"].update(runAsUser=0),
    "seccompProfile": lambda spec, one: spec["securityContext"].update(seccompProfile={"type": "Unconfined"}),
    "allowPrivilegeEscalation": lambda spec, one: one["securityContext"].pop("allowPrivilegeEscalation"),
    "drops ALL": lambda spec, one: one["securityContext"].update(capabilities={"drop": ["NET_RAW"]}),
    "adds SYS_ADMIN": lambda spec, one: one["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
    "readOnlyRootFilesystem": lambda spec, one: one["securityContext"].update(readOnlyRootFilesystem=False),
    "requests cpu": lambda spec, one: one["resources"]["requests"].pop("cpu"),
    "limits memory": lambda spec, one: one["resources"].pop("limits"),
    "image": lambda spec, one: one.update(image="postgres:latest"),
    "livenessProbe": lambda spec, one: one.pop("livenessProbe"),
    "password on a command line": lambda spec, one: one["args"].append("$(POSTGRES_PASSWORD)"),
}


@pytest.mark.parametrize("rule", _SPOILT)
def test_a_rule_can_fail(rule: str) -> None:
    workload = copy.deepcopy(dict(build("dev").pod("postgresql").workload))
    spec = workload["spec"]["template"]["spec"]
    _SPOILT[rule](spec, spec["containers"][0])
    assert [one for _, one in faults(next(pods_of(workload)))] == [rule]


@pytest.mark.parametrize("image", ["postgres", "postgres:latest", "registry:5000/postgres", "postgres:stable", ""])
def test_an_image_without_a_version_is_none(image: str) -> None:
    assert not pinned(image)


def test_an_image_by_digest_is_one() -> None:
    assert pinned("registry:5000/postgres@sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "line",
    [
        ["redis-cli", "-a", "$(SECRET)", "ping"],
        ["sh", "-c", 'sqlcmd -S 127.0.0.1 -P "$SECRET" -Q "SELECT 1"'],
        ["sh", "-c", "mysql -p$SECRET"],
        ["sh", "-c", "redis-server --requirepass ${SECRET}"],
        ["sh", "-c", 'psql "postgresql://harness:$SECRET@127.0.0.1/promptsales"'],
        ["sh", "-c", "mongosh --password=${SECRET}"],
    ],
    ids=" ".join,
)
def test_a_password_on_a_command_line_is_seen(line: list[str]) -> None:
    env = [{"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "redis", "key": "REDIS_PASSWORD"}}}]
    assert told({"args": line, "env": env}) == ["SECRET"]
    assert told({"readinessProbe": {"exec": {"command": line}}, "env": env}) == ["SECRET"]


def test_a_url_on_a_command_line_is_seen() -> None:
    env_from = [{"secretRef": {"name": url_secret("sso")}}]
    assert told({"args": ["psql", "$(PROMPTSALES_URL)"], "envFrom": env_from}) == ["PROMPTSALES_URL"]


@pytest.mark.parametrize(
    "probe",
    [
        {"tcpSocket": {"port": 5432}},
        {"exec": {"command": ["pg_isready"]}},
        {"exec": {"command": ["sh", "-c", 'psql -c "SELECT 1"']}},
        {"exec": {"command": ["sh", "-c", 'redis-cli -a "$POSTGRES_PASSWORD" ping']}},
    ],
    ids=str,
)
def test_a_readiness_without_a_login_is_none(probe: dict[str, Any]) -> None:
    secret = {"secretKeyRef": {"name": "postgresql", "key": "POSTGRES_PASSWORD"}}
    assert not logs_in({"readinessProbe": probe, "env": [{"name": "POSTGRES_PASSWORD", "valueFrom": secret}]})
