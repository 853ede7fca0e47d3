"""The Secrets that are made: they fit each other, and what stands is kept."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from harness.errors import DataError
from harness.kubernetes.parts import COMPONENTS, SERVERS, url_secret
from harness.kubernetes.secrets import AGENTS, KEYS, LICENCE, as_list, make_secrets, read_kept
from harness.promptsales.cipher_certificate import Certificate
from harness.servers.urls import VARIABLE, engine_of, reach_of
from harness.sso.keys import VARIABLE as SSO_KEYS
from harness.sso.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from harness.cli import main; main()", "kubernetes", "secrets"]


@pytest.fixture(scope="module")
def made() -> Any:
    return make_secrets(licence=True)


def test_every_secret_has_its_keys_and_no_others(made: Any) -> None:
    assert {name: frozenset(values) for name, values in made.items()} == dict(KEYS)
    assert all(value for values in made.values() for value in values.values())


def test_urls_name_the_servers_and_their_users(made: Any) -> None:
    for name, component in COMPONENTS.items():
        for logical, user in component.logins.items():
            url = made[url_secret(name)][VARIABLE[logical]]
            parts = urlsplit(url)
            server = SERVERS[logical]
            assert (parts.hostname, parts.port, parts.username) == (server.name, server.port, user)
            assert (parts.path, parts.query) == (f"/{server.database}", server.parameters)
            assert reach_of(url) == "network"
            engine_of(url, VARIABLE[logical])  # raises if it is none


def test_the_owner_comes_in_with_the_administrators_password_and_nobody_else(made: Any) -> None:
    def word(component: str, logical: str) -> str:
        return unquote(urlsplit(made[url_secret(component)][VARIABLE[logical]]).password or "")

    for logical, server in SERVERS.items():
        (administrators,) = {value for key, value in made[server.name].items() if "PASSWORD" in key}
        assert word("owner", logical) == administrators
        others = [
            word(one.name, logical) for one in COMPONENTS.values() if one.name != "owner" and logical in one.logins
        ]
        assert len({administrators, *others}) == 1 + len(others)


def test_the_keys_of_ssh_fit_each_other(made: Any) -> None:
    def public_of(private: str) -> bytes:
        return load_ssh_private_key(private.encode(), None).public_key().public_bytes_raw()  # type: ignore[union-attr]

    def written(line: str) -> bytes:
        return load_ssh_public_key(line.encode()).public_bytes_raw()  # type: ignore[union-attr]

    ours, agents = made["harness-ssh"], made["harness-agent-ssh"]
    restriction, _, own = agents["authorized_keys"].strip().partition(" ")
    assert restriction == "restrict"
    assert written(own) == public_of(ours["id_ed25519"])
    known = dict(line.split(" ", 1) for line in ours["known_hosts"].splitlines())
    assert known.keys() == {f"[{agent}]:2222" for agent in AGENTS}
    assert {written(line) for line in known.values()} == {public_of(agents["ssh_host_ed25519_key"])}


def test_certificate_and_signing_key_open(made: Any) -> None:
    encryption = made["crm-encryption"]
    certificate = Certificate.load(
        encryption["certificate.pem"].encode(),
        encryption["certificate.key"].encode(),
        encryption["PROMPTCRM_CERTIFICATE_PASSWORD"],
    )
    assert certificate.unwrap(certificate.wrap(b"k" * 64)) == b"k" * 64
    assert Keys(None, made["sso-keys"]).signing().algorithm == "ES256"
    assert SSO_KEYS in made["sso-keys"]


def test_hops_variables_are_the_etls_logins(made: Any) -> None:
    said = {one["name"]: one["value"] for one in json.loads(made["etl-variables"]["variables.json"])["variables"]}
    url = urlsplit(made["urls-etl"]["PROMPTSALES_URL"])
    assert said["PROMPTSALES_USER"] == url.username
    assert said["PROMPTSALES_PASSWORD"] == unquote(url.password or "")
    assert said["PROMPTADS_CONNECTION"] == "promptads-sqlserver"
    assert "//postgresql:5432/promptsales" in said["PROMPTSALES_JDBC_URL"]


def test_twice_nothing_is_the_same(made: Any) -> None:
    again = make_secrets(licence=True)
    same = [(name, key) for name, values in again.items() for key in values if values[key] == made[name][key]]
    assert same == [(LICENCE, "ACCEPT_EULA")]


def listed(made: Any) -> str:
    items = [
        {
            "metadata": {"name": name},
            "data": {key: base64.b64encode(one.encode()).decode() for key, one in values.items()},
        }
        for name, values in made.items()
    ]
    return json.dumps(
        {"kind": "List", "items": [*items, {"metadata": {"name": "somebody-else"}, "data": {"a": "YQ=="}}]}
    )


def test_what_stands_is_kept_and_what_is_missing_fits_it(made: Any) -> None:
    assert make_secrets(licence=False, kept=read_kept(listed(made))) == made
    lost = {name: values for name, values in made.items() if name not in ("urls-owner", "harness-ssh", "etl-variables")}
    again = make_secrets(licence=False, kept=read_kept(listed(lost)))
    assert again["urls-owner"] == made["urls-owner"]
    assert again["etl-variables"] == made["etl-variables"]
    assert again["harness-agent-ssh"] != made["harness-agent-ssh"]  # its pair is gone
    assert {name: again[name] for name in lost if name != "harness-agent-ssh"} == {
        name: lost[name] for name in lost if name != "harness-agent-ssh"
    }


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"items": [{"metadata": {"name": "redis"}, "data": {"a": "%"}}]}'])
def test_what_is_no_list_of_secrets_is_said(text: str) -> None:
    with pytest.raises(DataError, match="kubectl get secrets"):
        read_kept(text)


def test_the_command_prints_a_list_and_no_secret_elsewhere(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ACCEPT_EULA"}
    done = subprocess.run(
        [*COMMAND, "--namespace", "ours"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    items = yaml.safe_load(done.stdout)["items"]
    assert {one["metadata"]["name"] for one in items} == KEYS.keys() - {LICENCE}
    assert {one["metadata"]["namespace"] for one in items} == {"ours"}
    assert "--accept-eula" in done.stderr
    assert not [value for one in items for value in one["stringData"].values() if value.strip() in done.stderr]
    kept = tmp_path / "kept.json"
    kept.write_text(listed({one["metadata"]["name"]: one["stringData"] for one in items}))
    again = subprocess.run(
        [*COMMAND, "--namespace", "ours", "--existing", str(kept)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert again.stdout == done.stdout


def test_a_terminal_is_not_shown_secrets() -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            COMMAND, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=False
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 1
    assert "a terminal remembers" in done.stderr


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "--existing", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_list_says_where_and_whose(made: Any) -> None:
    one = as_list(made, "ours")["items"][0]
    assert one["metadata"]["labels"] == {"app.kubernetes.io/part-of": "promptsales"}
    assert one["type"] == "Opaque"


def test_external_secrets_bring_the_same_ones() -> None:
    text = (ROOT / "k8s/components/external-secrets/secrets.yaml").read_text("utf-8")
    found = {}
    for one in yaml.safe_load_all(text):
        name = one["metadata"]["name"]
        assert one["spec"]["target"]["name"] == name
        for entry in one["spec"]["data"]:
            assert entry["remoteRef"] == {"key": f"promptsales/{name}", "property": entry["secretKey"]}
        found[name] = frozenset(entry["secretKey"] for entry in one["spec"]["data"])
    assert found == dict(KEYS)
