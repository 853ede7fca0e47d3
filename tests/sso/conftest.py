"""An issuer on a loopback port over a database of its own, people in it, and a verifier."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
import uvicorn
from polling import eventually
from sso_fake import Fake
from sso_flow import CHEAP, PASSWORD, RESOURCE

from harness.promptsales.sso import Login, add_identity, log_in
from harness.servers.base import Target
from harness.sso.keys import Keys
from harness.sso.provider import IssuerSettings
from harness.sso.serve import config, listen
from harness.sso.sessions import Sessions
from harness.sso.verify import TokenVerifier, VerifierSettings, open_verifier


@dataclass
class World:
    """What a test has: see the fixture ``world``."""

    url: str
    database: Any
    connection: Any
    target: Target
    keys: Keys
    people: dict[str, UUID] = field(default_factory=dict)
    closing: list[Callable[[], None]] = field(default_factory=list)

    def verifier(self, environ: Mapping[str, str] | None = None, **changed: Any) -> TokenVerifier:
        given = {"issuer": self.url, "audiences": (RESOURCE,), "pause": 0.0} | changed
        verifier = open_verifier(VerifierSettings(**given), self.target, environ or {})
        self.closing.append(verifier.close)
        return verifier

    def add(self, email: str, *roles: str) -> UUID:
        self.people[email] = add_identity(self.connection, email, email.split("@")[0], PASSWORD, roles, cost=CHEAP)
        return self.people[email]


@pytest.fixture
def run_app() -> Iterator[Callable[[uvicorn.Config, socket.socket], None]]:
    """Serves an application in a thread until the test is over."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def run(how: uvicorn.Config, listening: socket.socket) -> None:
        server = uvicorn.Server(how)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        running.append((server, thread))
        eventually(lambda: server.started, "the application is served")

    yield run
    for server, thread in running:
        server.should_exit = True
        server.force_exit = True
        thread.join(10)


@pytest.fixture
def serve(promptsales_db, tmp_path, run_app) -> Iterator[Callable[..., World]]:
    """Makes an issuer; keywords are settings of it."""
    closing: list[Callable[[], None]] = []

    def make(**settings: Any) -> World:
        listening = listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        target = Target("promptsales", "postgresql", promptsales_db.url)
        keys = Keys(tmp_path / "keys" / "keys.json", {})
        sessions = Sessions(target.url)
        closing.append(sessions.close)
        run_app(config(IssuerSettings(url, **settings), sessions, keys), listening)
        world = World(url, promptsales_db, promptsales_db.connect(), target, keys, closing=closing)
        world.add("ana@example.com", "analyst", "reader")
        return world

    logging.getLogger("harness.sso").setLevel(logging.INFO)
    yield make
    for close in closing:
        close()


@pytest.fixture
def world(serve) -> World:
    return serve()


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(follow_redirects=False, timeout=20) as client:
        yield client


@pytest.fixture
def fake(run_app) -> Fake:
    issuer = Fake()
    listening = listen("127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    run_app(uvicorn.Config(issuer.app(), log_level="error", lifespan="off"), listening)
    return issuer


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


@pytest.fixture
def ana(connection) -> Login:
    add_identity(connection, "ana@example.com", "Ana", PASSWORD, ["analyst"], cost=CHEAP)
    login = log_in(connection, "ana@example.com", PASSWORD, timedelta(hours=1), cost=CHEAP)
    assert login is not None
    return login


@pytest.fixture
def opened(fake, promptsales_db):
    """Makes a verifier; keywords are settings of it."""
    made = []

    def make_one(environ=None, **changed):
        given = {"issuer": fake.url, "audiences": (RESOURCE,), "pause": 0.0, "seconds": 2.0} | changed
        gate = Target("promptsales", "postgresql", promptsales_db.url)
        made.append(open_verifier(VerifierSettings(**given), gate, environ or {}))
        return made[-1]

    yield make_one
    for verifier in made:
        verifier.close()
