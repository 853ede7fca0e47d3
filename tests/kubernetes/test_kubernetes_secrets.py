"""The Secrets that are made: they fit each other, and what stands is kept."""

from __future__ import annotations

import base64
import json
import os
import pty
import shutil
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


def certificate(made: Any) -> Any:
    """What a test keeps that is of something else: a new certificate takes seconds."""
    return {"crm-encryption": made["crm-encryption"]}


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
    assert known.keys() == {name for agent in AGENTS for name in (agent, f"[{agent}]:2222")}
    assert {written(line) for line in known.values()} == {public_of(agents["ssh_host_ed25519_key"])}


def test_certificate_and_signing_key_open(made: Any) -> None:
    encryption = made["crm-encryption"]
    loaded = Certificate.load(
        encryption["certificate.pem"].encode(),
        encryption["certificate.key"].encode(),
        encryption["PROMPTCRM_CERTIFICATE_PASSWORD"],
    )
    assert loaded.unwrap(loaded.wrap(b"k" * 64)) == b"k" * 64
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


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_openssh_takes_the_keys_and_finds_the_agents(made: Any, tmp_path: Path) -> None:
    ours, agents = made["harness-ssh"], made["harness-agent-ssh"]
    known = tmp_path / "known_hosts"
    known.write_text(ours["known_hosts"])
    for text, public in (
        (ours["id_ed25519"], agents["authorized_keys"].removeprefix("restrict ")),
        (agents["ssh_host_ed25519_key"], ours["known_hosts"].splitlines()[0].split(" ", 1)[1]),
    ):
        key = tmp_path / "key"
        key.write_text(text)
        key.chmod(0o600)
        assert _keygen("-y", "-f", str(key)).split()[:2] == public.split()
    for agent in AGENTS:
        for name in (agent, f"[{agent}]:2222"):
            assert "ssh-ed25519" in _keygen("-F", name, "-f", str(known))


def _keygen(*arguments: str) -> str:
    done = subprocess.run(["ssh-keygen", *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_an_administrators_password_that_is_gone_is_the_owners(made: Any) -> None:
    there = {name: dict(values) for name, values in made.items() if name != "postgresql"}
    there["urls-owner"]["PROMPTSALES_URL"] = "postgresql://harness:a%2Fb%40c%25@postgresql:5432/promptsales"
    assert make_secrets(licence=False, kept=there)["postgresql"] == {"POSTGRES_PASSWORD": "a/b@c%"}


def test_a_kept_password_of_strange_signs_is_encoded_in_the_owners_url(made: Any) -> None:
    there = {**certificate(made), "sqlserver-ads": {"MSSQL_SA_PASSWORD": "a/b@c%:?#é"}}
    url = make_secrets(licence=False, kept=there)["urls-owner"]["PROMPTADS_URL"]
    assert urlsplit(url).hostname == "sqlserver-ads"
    assert unquote(urlsplit(url).password or "") == "a/b@c%:?#é"


def test_new_logins_of_the_etl_reach_hop(made: Any) -> None:
    there = {name: values for name, values in made.items() if name != "urls-etl"}
    again = make_secrets(licence=False, kept=there)
    url = again["urls-etl"]["CACHE_URL"]
    assert url != made["urls-etl"]["CACHE_URL"]
    said = {one["name"]: one["value"] for one in json.loads(again["etl-variables"]["variables.json"])["variables"]}
    assert said["CACHE_PASSWORD"] == unquote(urlsplit(url).password or "")


def test_a_key_that_is_missing_joins_those_that_stay(made: Any) -> None:
    there = {**certificate(made), "mongodb": {"MONGO_INITDB_ROOT_PASSWORD": "stays", "own": "too"}}
    again = make_secrets(licence=False, kept=there)["mongodb"]
    assert again.keys() == {"MONGO_INITDB_ROOT_PASSWORD", "keyfile", "own"}
    assert (again["MONGO_INITDB_ROOT_PASSWORD"], again["own"]) == ("stays", "too")


def test_half_a_certificate_is_refused(made: Any) -> None:
    there = {"crm-encryption": {name: one for name, one in made["crm-encryption"].items() if name != "certificate.key"}}
    with pytest.raises(DataError, match=r"has no certificate\.key: bring it back"):
        make_secrets(licence=False, kept=there)
    whole = {name: one for name, one in made["crm-encryption"].items() if name != "PROMPTCRM_MASTER_PASSWORD"}
    again = make_secrets(licence=False, kept={"crm-encryption": whole})["crm-encryption"]
    assert again.keys() == KEYS["crm-encryption"]
    assert {name: again[name] for name in whole} == whole


@pytest.mark.parametrize(
    "url", ["postgresql://u:hidden/word@postgresql/promptsales", "mysql://u:hidden@postgresql/promptsales", "hidden"]
)
def test_a_kept_url_that_is_none_is_said_without_its_password(made: Any, url: str) -> None:
    there = {**certificate(made), "urls-etl": {**made["urls-etl"], "PROMPTSALES_URL": url}}
    with pytest.raises(DataError, match="the Secret urls-etl") as refused:
        make_secrets(licence=False, kept=there)
    assert "hidden" not in str(refused.value)
    assert refused.value.__cause__ is None
    with pytest.raises(DataError, match="the Secret urls-owner") as refused:
        make_secrets(licence=False, kept={"urls-owner": {"PROMPTSALES_URL": "postgresql://hidden@[x/promptsales"}})
    assert "hidden" not in str(refused.value)


def test_the_licence_is_never_accepted_for_the_user(made: Any) -> None:
    refused = {**certificate(made), LICENCE: {"ACCEPT_EULA": "N"}}
    assert make_secrets(licence=False, kept=refused)[LICENCE] == {"ACCEPT_EULA": "N"}
    assert make_secrets(licence=True, kept=refused)[LICENCE] == {"ACCEPT_EULA": "Y"}
    assert LICENCE not in make_secrets(licence=False, kept={**certificate(made), LICENCE: {}})


@pytest.mark.parametrize(("arguments", "says"), [(["--accept-eula"], {}), ([], {"ACCEPT_EULA": "Y"})])
def test_who_accepts_the_licence_gets_its_secret(arguments: list[str], says: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ACCEPT_EULA"} | says
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=True, env=environment)
    found = {one["metadata"]["name"]: one["stringData"] for one in yaml.safe_load(done.stdout)["items"]}
    assert found[LICENCE] == {"ACCEPT_EULA": "Y"}
    assert "licence was not accepted" not in done.stderr
    assert "all of these are new: servers that have begun with others will not take them" in done.stderr
    kept = subprocess.run(
        [*COMMAND, *arguments, "--existing", "-"],
        input='{"items": []}',
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert kept.stderr == ""  # who says what is there needs no warning


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"items": [{"metadata": {"name": "redis"}, "data": {"a": "%"}}]}'])
def test_what_is_no_list_of_secrets_is_said(text: str) -> None:
    with pytest.raises(DataError, match="kubectl get secrets"):
        read_kept(text)


def test_secrets_of_two_namespaces_are_not_mixed() -> None:
    one = {"metadata": {"name": "redis"}, "data": {"REDIS_PASSWORD": "YQ=="}}
    assert read_kept(json.dumps({"items": [one]})) == {"redis": {"REDIS_PASSWORD": "a"}}
    with pytest.raises(DataError, match="more than one namespace"):
        read_kept(json.dumps({"items": [one, one]}))


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


def test_a_terminal_is_shown_them_when_asked() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--show"], stdout=theirs, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as running:
        os.close(theirs)
        seen = b""
        while chunk := _read(ours):
            seen += chunk
    os.close(ours)
    assert running.returncode == 0
    assert b"POSTGRES_PASSWORD" in seen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_a_file_that_is_broken_is_said_without_what_is_in_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"items": [{"metadata": {"name": "redis"}, "data": {"REDIS_PASSWORD": "hidden%"}}]}')
    done = subprocess.run([*COMMAND, "--existing", str(broken)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "kubectl get secrets -o json" in done.stderr
    assert "hidden" not in done.stderr
    assert "Traceback" not in done.stderr


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
