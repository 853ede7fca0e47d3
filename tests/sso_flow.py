"""The authorization code flow, step by step, so that a test can do each one wrong."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from harness.promptsales.sso import Scrypt

REDIRECT = "http://127.0.0.1:7777/callback"
PASSWORD = "correct horse battery"
RESOURCE = "http://127.0.0.1:9999/mcp"
CHEAP = Scrypt(n=16, r=1, p=1)


@dataclass
class Flow:
    """A program that logs somebody in."""

    http: httpx2.Client
    url: str
    client: str = ""
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = "some state"

    def register(self, **changed: Any) -> httpx2.Response:
        metadata = {"client_name": "a test", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
        answer = self.http.post(f"{self.url}/register", json=metadata | changed)
        if answer.status_code == 201:
            self.client = answer.json()["client_id"]
        return answer

    def authorize(self, **changed: Any) -> httpx2.Response:
        if not self.client:
            assert self.register().status_code == 201
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.client,
            "redirect_uri": REDIRECT,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "state": self.state,
            "resource": RESOURCE,
        } | changed
        return self.http.get(
            f"{self.url}/authorize", params={name: value for name, value in asked.items() if value is not None}
        )

    def page(self, **changed: Any) -> httpx2.Response:
        answer = self.authorize(**changed)
        assert answer.status_code == 302, answer.text
        return self.http.get(answer.headers["location"])

    def submit(self, page: httpx2.Response, email="ana@example.com", password=PASSWORD, **more: Any) -> httpx2.Response:
        return self.http.post(
            f"{self.url}/login", data={"form": form_of(page), "email": email, "password": password}, **more
        )

    def code(self, email="ana@example.com", **changed: Any) -> str:
        answer = self.submit(self.page(**changed), email)
        assert answer.status_code == 303, answer.text
        return query_of(answer)["code"]

    def exchange(self, code: str, **changed: Any) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": self.client,
            "redirect_uri": REDIRECT,
            "code_verifier": self.verifier,
        } | changed
        return self.http.post(f"{self.url}/token", data=form)

    def refresh(self, token: str, **changed: Any) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self.client} | changed
        return self.http.post(f"{self.url}/token", data=form)

    def tokens(self, email="ana@example.com", **changed: Any) -> dict[str, Any]:
        answer = self.exchange(self.code(email, **changed))
        assert answer.status_code == 200, answer.text
        return answer.json()


def form_of(page: httpx2.Response) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found, page.text
    return html.unescape(found[1])


def query_of(answer: httpx2.Response) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
