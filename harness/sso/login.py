"""Logging in from a terminal: the authorization code flow as a browser does it, and a file that keeps what came of it.

It fills in the login form of our own issuer, and of no other: somebody else's may want a second factor, or a browser.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import filelock
import httpx2

from harness.errors import DataError, LoginRefused, ServerError, StoreError
from harness.servers.runfolder import write_private
from harness.sso.urls import is_here, is_safe, issuer_url, origin_of

REDIRECT = "http://127.0.0.1:8943/callback"
"""Nobody listens there: what the issuer would send a browser to is read from its answer."""

NAME = "harness on the command line"
EARLY = 60.0
"""Seconds before its end from which a token is refreshed."""

WRONG = "the address or the password is wrong, or there were too many attempts"
_MOST = 512 * 1024


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in gives. Its repr shows no secret."""

    issuer: str
    resource: str | None
    client: str
    access: str = field(repr=False)
    expires: float
    """Of the access token, seconds since 1970."""
    refresh: str = field(repr=False)


def log_in(issuer: str, resource: str | None, email: str, password: str, *, seconds: float = 30.0) -> Tokens:
    """Log in at our issuer for one server. Raises LoginRefused, ServerError, or DataError if a URL is none."""
    if resource and not is_safe(resource, 512):
        raise DataError(f"{resource!r} cannot be a server's URL: https, or http of this machine, without fragment")
    with _Browser(issuer, seconds) as browser:
        client = browser.register()
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": REDIRECT,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "state": state,
            **({"resource": resource} if resource else {}),
        }
        code = browser.code(f"{browser.endpoint('authorization_endpoint')}?{urlencode(asked)}", state, email, password)
        return browser.tokens(
            client,
            resource,
            {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": verifier},
        )


def refresh(tokens: Tokens, *, seconds: float = 30.0) -> Tokens:
    """The next tokens. Raises LoginRefused if the session has ended, or ServerError."""
    with _Browser(tokens.issuer, seconds) as browser:
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
        return browser.tokens(tokens.client, tokens.resource, form)


def log_out(tokens: Tokens, *, seconds: float = 30.0) -> None:
    """End the session. Raises ServerError."""
    with _Browser(tokens.issuer, seconds) as browser:
        form = {"token": tokens.refresh, "client_id": tokens.client}
        if browser.post(browser.endpoint("revocation_endpoint"), form).status_code != 200:
            raise ServerError(f"{tokens.issuer}: the session could not be ended: try again")


class Kept:
    """Tokens in a file that only we may read, one for each issuer and server."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, tokens: Tokens) -> None:
        """Keep these in the place of those of before. Raises StoreError."""
        with self._changing() as entries:
            entries[_place(tokens.issuer, tokens.resource)] = asdict(tokens)

    def fresh(self, issuer: str, resource: str | None) -> Tokens:
        """Tokens that are good for a while; refreshed if need be, by one process at a time.

        Raises LoginRefused if there are none or the session has ended; ServerError, StoreError.
        """
        with self._changing() as entries:
            place = _place(issuer, resource)
            tokens = _tokens(entries.get(place))
            if tokens is None:
                what = f"{issuer} for {resource}" if resource else issuer
                raise LoginRefused(f"no log-in at {what} is kept: 'harness sso login --keep' makes one")
            if tokens.expires - time.time() < EARLY:
                try:
                    tokens = refresh(tokens)
                except LoginRefused:
                    del entries[place]
                    raise
                entries[place] = asdict(tokens)
            return tokens

    def forget(self, issuer: str, resource: str | None) -> Tokens | None:
        """Take them out, and give them. Raises StoreError."""
        with self._changing() as entries:
            return _tokens(entries.pop(_place(issuer, resource), None))

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The file's content, written when it is over, also by an error of ours."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with filelock.FileLock(f"{self._path}.lock", timeout=60):
                found: dict[str, Any] = {}
                if self._path.exists():
                    with contextlib.suppress(ValueError, TypeError):
                        found = dict(json.loads(self._path.read_text("utf-8")))
                before = json.dumps(found)
                try:
                    yield found
                finally:
                    if json.dumps(found) != before:
                        write_private(self._path, json.dumps(found))
        except filelock.Timeout:
            raise StoreError(f"{self._path} is in use by another process: try again") from None
        except OSError as problem:
            raise StoreError(f"{self._path} cannot be kept: {problem.strerror}") from None


class _Browser:
    """Cookies, forms and redirects, for one issuer."""

    def __init__(self, issuer: str, seconds: float) -> None:
        self._issuer = issuer_url(issuer)
        self._client = httpx2.Client(follow_redirects=False, timeout=seconds, trust_env=not is_here(issuer))
        self._about: Mapping[str, Any] = {}

    def __enter__(self) -> _Browser:
        try:
            self._about = self._discovered()
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def _discovered(self) -> Mapping[str, Any]:
        about = self._object(self._asked("GET", f"{self._issuer}/.well-known/openid-configuration"))
        if about.get("issuer") != self._issuer:
            raise ServerError(f"{self._issuer}: calls itself by another name")
        return about

    def endpoint(self, name: str) -> str:
        """One of its addresses. Raises ServerError."""
        url = self._about.get(name)
        if not isinstance(url, str) or not is_safe(url):
            raise ServerError(f"{self._issuer}: offers no {name}, or one that is not https")
        return url

    def register(self) -> str:
        """The id of a client, made for this log-in. Raises ServerError."""
        answer = self._object(
            self._asked(
                "POST",
                self.endpoint("registration_endpoint"),
                json={"client_name": NAME, "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"},
            ),
            201,
        )
        return str(answer.get("client_id", ""))

    def code(self, url: str, state: str, email: str, password: str) -> str:
        """The code that the login page sends on. Raises LoginRefused, ServerError."""
        answer = self._asked("GET", url)
        for _ in range(5):
            where = answer.headers.get("location")
            if where is None:
                break
            where = urljoin(str(answer.request.url), where)
            if where.startswith(REDIRECT + "?"):
                return self._code(where, state)
            if origin_of(where) != origin_of(self._issuer):
                raise ServerError(f"{self._issuer}: sends elsewhere to log in: a browser is needed")
            answer = self._asked("GET", where)
        page = _Form(answer.text)
        if answer.status_code != 200 or not {"email", "password"} <= page.fields.keys():
            raise ServerError(f"{self._issuer}: its login page is none that can be filled in from here: use a browser")
        target = urljoin(str(answer.request.url), page.action)
        if origin_of(target) != origin_of(self._issuer):
            raise ServerError(f"{self._issuer}: its login page sends passwords elsewhere")
        try:
            answer = self.post(target, {**page.fields, "email": email, "password": password})
        except UnicodeEncodeError:  # half a character: nobody has such a password
            raise LoginRefused(f"{self._issuer}: {WRONG}") from None
        where = answer.headers.get("location", "")
        if where.startswith(REDIRECT + "?"):
            return self._code(where, state)
        if answer.status_code == 403:
            raise LoginRefused(f"{self._issuer}: {WRONG}")
        raise ServerError(f"{self._issuer}: cannot log anybody in now (status {answer.status_code})")

    def tokens(self, client: str, resource: str | None, form: Mapping[str, str]) -> Tokens:
        """What the token endpoint gives. Raises LoginRefused, ServerError."""
        answer = self.post(self.endpoint("token_endpoint"), {**form, "client_id": client})
        if answer.status_code in (400, 401):
            raise LoginRefused(f"{self._issuer}: the session has ended: log in again ('harness sso login')")
        given = self._object(answer)
        try:
            return Tokens(
                self._issuer,
                resource,
                client,
                str(given["access_token"]),
                time.time() + float(given["expires_in"]),
                str(given["refresh_token"]),
            )
        except (KeyError, TypeError, ValueError):
            raise ServerError(f"{self._issuer}: gave no tokens") from None

    def post(self, url: str, form: Mapping[str, str]) -> httpx2.Response:
        """Send a form. Raises ServerError."""
        return self._asked("POST", url, data=dict(form))

    def _code(self, where: str, state: str) -> str:
        given = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
        if given.get("state") != state or given.get("iss", self._issuer) != self._issuer:
            raise ServerError(f"{self._issuer}: answered another request than ours")
        if "code" not in given:
            raise LoginRefused(f"{self._issuer}: {given.get('error', 'no code')[:40]}")
        return given["code"]

    def _asked(self, method: str, url: str, **more: Any) -> httpx2.Response:
        try:
            answer = self._client.request(method, url, **more)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
            raise ServerError(
                f"{self._issuer}: does not answer: is the issuer running ('harness sso serve')?"
            ) from None
        if len(answer.content) > _MOST:
            raise ServerError(f"{self._issuer}: answers too much")
        return answer

    def _object(self, answer: httpx2.Response, status: int = 200) -> Mapping[str, Any]:
        try:
            content = answer.json() if answer.status_code == status else None
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise ServerError(f"{self._issuer}: does not answer as an issuer does (status {answer.status_code})")
        return content


class _Form(HTMLParser):
    """The first form of a page: where it goes, and its fields."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and not self.action:
            self.action = given.get("action") or ""
        elif tag == "input" and given.get("name"):
            self.fields[str(given["name"])] = given.get("value") or ""


def _place(issuer: str, resource: str | None) -> str:
    return f"{issuer} {resource or ''}"


def _tokens(entry: Any) -> Tokens | None:
    try:
        return Tokens(**entry)
    except TypeError:
        return None
