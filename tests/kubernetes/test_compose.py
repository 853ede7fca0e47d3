"""compose.yaml, as far as it can be checked without Docker: the specification, and what ``--servers=containers`` starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.etl import hop
from harness.kubernetes.parts import COMPONENTS, LOCUST_WEB, MCP_PORT, SERVERS, SSO_PORT
from harness.servers.images import IMAGES
from harness.servers.urls import VARIABLE

pytestmark = pytest.mark.k8s_manifests

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "compose.yaml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
WRITES = {
    "sqlserver-ads": "SQL Server writes beside its volume",
    "sqlserver-crm": "SQL Server writes beside its volume",
}
"""Root file systems that are not for reading only, and why; the same want a capability."""


def given(text: str) -> str:
    """As Compose gives it on: with a password for each variable, and $$ as what it stands for."""
    text = re.sub(r"(?<!\$)\$\{(\w+)(?::[-?][^}]*)?\}", lambda found: "Y" if "EULA" in found[1] else "Aa1-x", text)
    return text.replace("$$", "$")


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_it_is_what_the_specification_says() -> None:
    spec = pytest.importorskip("compose_spec")
    spec.ComposeSpecification.model_validate(COMPOSE)


@pytest.mark.parametrize("name", IMAGES)
def test_a_server_is_the_one_that_containers_start(name: str) -> None:
    image, service = IMAGES[name], SERVICES[name]
    assert service["image"] == image.name
    assert {key: given(value) for key, value in service["environment"].items()} == image.environment("Aa1-x")
    assert [given(word) for word in service.get("command", [])] == list(image.command("Aa1-x"))
    (port,) = service["ports"]
    assert port.rpartition(":")[2] == str(image.port) == str(SERVERS[image.logical].port)
    assert SERVERS[image.logical].name == name


@pytest.mark.parametrize("name", IMAGES)
def test_a_servers_health_is_a_login_whose_password_is_on_no_command_line(name: str) -> None:
    service = SERVICES[name]
    (variable,) = [key for key in service["environment"] if key.endswith("PASSWORD")]
    test = " ".join(service["healthcheck"]["test"])
    assert f"$${variable}" in test or f"process.env.{variable}" in test
    assert not re.search(r"\$\{\w+_PASSWORD", test)  # Compose itself would write it into the container's configuration
    assert any(word in test for word in ("SELECT 1", "ping", "isWritablePrimary"))
    assert seconds(service["stop_grace_period"]) >= 30
    assert service["restart"] == "unless-stopped"
    assert all(volume.partition(":")[0] in COMPOSE["volumes"] for volume in service["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little(name: str) -> None:
    one = SERVICES[name]
    assert one["cap_drop"] == ["ALL"]
    assert one.get("cap_add", []) == (["NET_BIND_SERVICE"] if name in WRITES else [])  # as in k8s/: README.md there
    assert "privileged" not in one
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["read_only"] is (name not in WRITES)
    assert re.match(r"[1-9]\d*:\d+$", one["user"])
    assert "mem_limit" in one
    assert "stop_grace_period" in one
    assert all(str(port).startswith("127.0.0.1:") for port in one.get("ports", []))


def test_images_have_whole_versions() -> None:
    for name, one in SERVICES.items():
        assert re.search(r":(\d+\.\d+|2022-CU\d+)", one["image"]), name


@pytest.mark.parametrize("name", SERVICES)
def test_who_waits_for_another_waits_for_the_right_thing(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        ends = "restart" not in SERVICES[other] and "healthcheck" not in SERVICES[other]
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), other


def logins(name: str) -> dict[str, str]:
    environment = SERVICES[name].get("environment", {})
    return {key: given(value) for key, value in environment.items() if key in VARIABLE.values()}


def url(component: str, logical: str) -> str:
    server = SERVERS[logical]
    tail = f"?{server.parameters}" if server.parameters else ""
    user = COMPONENTS[component].logins[logical]
    return f"{server.scheme}://{user}:Aa1-x@{server.name}:{server.port}/{server.database}{tail}"


@pytest.mark.parametrize(
    ("name", "component"),
    [
        *(("migrate", "owner"), ("seed", "owner"), ("etl-variables", "etl"), ("mcp", "mcp"), ("sso", "sso")),
        *(("locust-worker", "load"), ("harness", "harness")),
    ],
)
def test_everybody_logs_in_as_himself(name: str, component: str) -> None:
    assert logins(name) == {VARIABLE[one]: url(component, one) for one in COMPONENTS[component].logins}


def test_nobody_else_is_given_a_login() -> None:
    known = {"migrate", "seed", "etl-variables", "mcp", "sso", "locust-worker", "harness"}
    assert [name for name in SERVICES if logins(name) and name not in known] == []


def test_migrate_is_given_every_login_that_it_makes() -> None:
    environment = {key: given(value) for key, value in SERVICES["migrate"]["environment"].items()}
    made = {key: value for key, value in environment.items() if key.startswith("LOGIN_")}
    assert made == {
        f"LOGIN_{one.name}_{VARIABLE[logical]}": url(one.name, logical)
        for one in COMPONENTS.values()
        if one.name != "owner"
        for logical in one.logins
    }


def test_every_password_is_asked_for_and_none_is_written() -> None:
    asked = set(re.findall(r"\$\{(\w+_PASSWORD):\?", TEXT))
    used = set(re.findall(r"(?<!\$)\$\{(\w+_PASSWORD)", TEXT))
    assert used == asked
    listed = re.search(r"for one in ([A-Z_ ]+); do", TEXT)
    assert listed is not None
    assert {f"{one}_PASSWORD" for one in listed[1].split()} == used
    assert not re.search(r"://[^\s:@/]+:[^$\s{][^@\s]*@", TEXT)


@pytest.mark.parametrize("name", ["harness", "locust-master", "locust-worker"])
def test_who_keeps_results_may_write_them(name: str) -> None:
    one = SERVICES[name]
    assert one["command"][0] in ("pytest", "locust")
    assert any(re.match(r"(results:)?/results\b", place) for place in [*one.get("volumes", ()), *one["tmpfs"]])


def test_hop_may_write_where_it_writes() -> None:
    one = SERVICES["etl"]
    assert any(place.startswith("/writable:") for place in one["tmpfs"])
    assert "cp -r /opt/hop/config /project /writable/" in one["entrypoint"][-1]
    for name in ("HOP_PROJECT_FOLDER", "HOP_CONFIG_FOLDER"):
        assert one["environment"][name].startswith("/writable/")


def test_ports_are_those_of_the_table() -> None:
    published = {port for one in SERVICES.values() for port in one.get("ports", [])}
    for port in (MCP_PORT, SSO_PORT, LOCUST_WEB):
        assert f"127.0.0.1:{port}:{port}" in published


def test_profiles() -> None:
    profiles = {name: one.get("profiles", []) for name, one in SERVICES.items()}
    assert {name for name, said in profiles.items() if said == ["load"]} == {"locust-master", "locust-worker"}
    agents = {"harness", "harness-keys", "harness-agent-0", "harness-agent-1"}
    assert {name for name, said in profiles.items() if said == ["harness"]} == agents


def test_the_etl_is_the_one_that_runs_here() -> None:
    environment = SERVICES["etl"]["environment"]
    path = environment["HOP_FILE_PATH"].removeprefix("$${PROJECT_HOME}/")
    assert (hop.FOLDER / path).is_file()
    assert {"-Duser.timezone=UTC", "-Dfile.encoding=UTF-8"} <= {*environment["HOP_OPTIONS"].split()} <= {*hop.FLAGS}
    assert SERVICES["etl"]["user"] == SERVICES["etl-variables"]["user"]  # the file is its owner's to read
