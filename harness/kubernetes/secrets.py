"""The Secrets that the manifests of ``k8s/`` name, freshly made: passwords, URLs, keys, a certificate. Kept nowhere here.

``KEYS`` is the table that manifests and External Secrets are held against.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from harness.errors import DataError, HarnessError
from harness.etl.connections import variables
from harness.kubernetes.parts import COMPONENTS, PART_OF, SERVERS, SSH_PORT, Component, Server, url_secret
from harness.promptsales.cipher_certificate import MASTER_PASSWORD, make_certificate
from harness.promptsales.cipher_certificate import PASSWORD as CERTIFICATE_PASSWORD
from harness.servers.urls import VARIABLE, make_target
from harness.sso.keys import VARIABLE as SSO_KEYS
from harness.sso.keys import make as make_signing_key

Values = Mapping[str, str]
"""What is in a Secret, by key."""

LICENCE = "sqlserver-licence"
AGENTS = ("harness-agent-0.harness-agent", "harness-agent-1.harness-agent")

_ADMINISTRATORS = {
    "postgresql": "POSTGRES_PASSWORD",
    "sqlserver-ads": "MSSQL_SA_PASSWORD",
    "sqlserver-crm": "MSSQL_SA_PASSWORD",
    "mongodb": "MONGO_INITDB_ROOT_PASSWORD",
    "redis": "REDIS_PASSWORD",
}
"""By server, which is the Secret's name too: the key of its administrator's password."""

KEYS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{server: frozenset({key}) for server, key in _ADMINISTRATORS.items()},
        "mongodb": frozenset({_ADMINISTRATORS["mongodb"], "keyfile"}),
        LICENCE: frozenset({"ACCEPT_EULA"}),
        **{url_secret(name): frozenset(VARIABLE[one] for one in part.logins) for name, part in COMPONENTS.items()},
        "crm-encryption": frozenset({MASTER_PASSWORD, CERTIFICATE_PASSWORD, "certificate.pem", "certificate.key"}),
        "sso-keys": frozenset({SSO_KEYS}),
        "etl-variables": frozenset({"variables.json"}),
        "harness-ssh": frozenset({"id_ed25519", "known_hosts"}),
        "harness-agent-ssh": frozenset({"ssh_host_ed25519_key", "authorized_keys"}),
    }
)
"""Every Secret of the manifests, and its keys."""


def make_secrets(*, licence: bool, kept: Mapping[str, Values] | None = None) -> dict[str, Values]:
    """What each Secret holds. What ``kept`` has already stays as it is, so running servers go on knowing their passwords.

    Without ``licence`` (SQL Server's, which is the user's to accept) the Secret of that name is left out, or stays.
    Raises DataError, without a secret: what is kept cannot be gone on with.
    """
    there = kept or {}
    made: dict[str, Values] = {}

    def have(name: str, make: Callable[[], Values]) -> None:
        old = there.get(name, {})
        made[name] = dict(old) if old.keys() >= KEYS[name] else {**make(), **old}

    owners = there.get(url_secret("owner"), {})
    for server in SERVERS.values():
        have(server.name, lambda server=server: _server(server, owners.get(VARIABLE[server.logical])))  # type: ignore[misc]
    for name, part in COMPONENTS.items():
        have(url_secret(name), lambda part=part: _urls(part, made))  # type: ignore[misc]
    _check_certificate(there.get("crm-encryption", {}))
    have("crm-encryption", _encryption)
    have("sso-keys", lambda: {SSO_KEYS: _pem(make_signing_key("ES256"))})
    etl = url_secret("etl")
    have("etl-variables", lambda: {"variables.json": _variables(made[etl])})
    if made[etl] != there.get(etl):  # a password is new
        made["etl-variables"] = {**made["etl-variables"], "variables.json": _variables(made[etl])}
    pair = ("harness-ssh", "harness-agent-ssh")
    if all(there.get(name, {}).keys() >= KEYS[name] for name in pair):
        made.update({name: dict(there[name]) for name in pair})
    else:  # one without the other opens nothing
        made.update(zip(pair, _ssh(), strict=True))
    if licence:
        made[LICENCE] = {"ACCEPT_EULA": "Y"}
    elif there.get(LICENCE):
        made[LICENCE] = dict(there[LICENCE])  # whatever the user said then
    return made


def as_list(made: Mapping[str, Values], namespace: str) -> dict[str, Any]:
    """A List of Secrets, as the API server takes it."""
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": {"app.kubernetes.io/part-of": PART_OF},
                },
                "type": "Opaque",
                "stringData": dict(sorted(values.items())),
            }
            for name, values in sorted(made.items())
        ],
    }


def password() -> str:
    """36 signs that a URL takes as they are, of the three kinds that SQL Server's policy asks for."""
    return f"Aa1-{secrets.token_urlsafe(24)}"


def _server(server: Server, owners: str | None) -> Values:
    """``owners`` is the URL that its owner has already: the server knows that password."""
    made = {_ADMINISTRATORS[server.name]: password() if owners is None else _password_in(owners, url_secret("owner"))}
    if "keyfile" in KEYS[server.name]:
        made["keyfile"] = secrets.token_hex(256)  # 6 to 1024 signs of base64, says MongoDB's manual
    return made


def _urls(part: Component, made: Mapping[str, Values]) -> Values:
    found: dict[str, str] = {}
    for logical, user in part.logins.items():
        server = SERVERS[logical]
        own = user == server.administrator
        found[VARIABLE[logical]] = _url(
            server, user, made[server.name][_ADMINISTRATORS[server.name]] if own else password()
        )
    return found


def _url(server: Server, user: str, word: str) -> str:
    parameters = f"?{server.parameters}" if server.parameters else ""
    return f"{server.scheme}://{user}:{quote(word, safe='')}@{server.name}:{server.port}/{server.database}{parameters}"


def _password_in(url: str, secret: str) -> str:
    try:
        found = unquote(urlsplit(url).password or "")
    except ValueError:
        found = ""
    if not found:
        raise DataError(f"the Secret {secret} that was kept has a URL without a password, or one that is no URL")
    return found


def _check_certificate(kept: Values) -> None:
    """Half a certificate cannot be made whole, and a new one would not open the data keys of the old one."""
    whole = {"certificate.pem", "certificate.key", CERTIFICATE_PASSWORD}
    if (missing := whole - kept.keys()) and missing != whole:
        raise DataError(
            f"the Secret crm-encryption that was kept has no {', '.join(sorted(missing))}: bring it back, or, "
            "if nothing was encrypted yet, leave all three out"
        )


def _encryption() -> Values:
    word = password()
    certificate, private = make_certificate("PromptCrm", word)
    return {
        MASTER_PASSWORD: password(),
        CERTIFICATE_PASSWORD: word,
        "certificate.pem": certificate.decode("ascii"),
        "certificate.key": private.decode("ascii"),
    }


def _variables(urls: Values) -> str:
    """Hop's variables file, as ``harness etl variables`` writes it."""
    try:
        targets = {logical: make_target(logical, urls[name], "external") for logical, name in VARIABLE.items()}
        said = [{"name": name, "value": value, "description": ""} for name, value in variables(targets).items()]
    except HarnessError:  # its text may quote a piece of an unescaped password
        raise DataError("the Secret urls-etl that was kept has a URL that Hop cannot be told") from None
    return json.dumps({"variables": said}, indent=1) + "\n"


def _ssh() -> tuple[Values, Values]:
    """What the harness has, and what the agents have: a key each, and the other one's public half."""
    own, host = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    # with the port for ssh -p, without it for a HostKeyAlias
    known = "".join(f"{name} {_public(host)}\n" for agent in AGENTS for name in (f"[{agent}]:{SSH_PORT}", agent))
    return (
        {"id_ed25519": _openssh(own), "known_hosts": known},
        {"ssh_host_ed25519_key": _openssh(host), "authorized_keys": f"restrict {_public(own)}\n"},
    )


def _openssh(key: ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")


def _public(key: ed25519.Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _pem(key: Any) -> str:
    text: str = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    return text


def read_kept(text: str) -> dict[str, Values]:
    """What ``kubectl get secrets -o json`` gave: by name, only those of :data:`KEYS`. Raises DataError, without a secret."""
    try:
        ours = [one for one in json.loads(text)["items"] if one["metadata"]["name"] in KEYS]
        kept: dict[str, Values] = {
            one["metadata"]["name"]: {
                key: base64.b64decode(value, validate=True).decode("utf-8")
                for key, value in (one.get("data") or {}).items()
            }
            for one in ours
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError("that is not what 'kubectl get secrets -o json' prints: a List of Secrets") from None
    if len(kept) < len(ours):
        raise DataError("these are Secrets of more than one namespace: give 'kubectl get secrets' one, with -n")
    return kept
