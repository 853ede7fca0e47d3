"""An issuer's documents, fetched with care: what it says of itself, and its public keys, kept for a while.

An issuer that is slow, enormous, elsewhere or gone costs a bounded time and little memory. Keys are fetched again when a
token names one that is not known, but no more often than every few seconds: who makes up names must not make us hammer it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLong
from typing import Any

import httpx2
import jwt

from harness.errors import SourceError
from harness.sso.urls import is_here, is_safe

MOST_BYTES = 256 * 1024
MOST_KEYS = 100
AWAY = "tokens cannot be verified now: the issuer does not answer as it should, try again later"


class Issuer:
    """One issuer, seen from outside. Safe to use from several threads.

    ``fresh``: seconds after which keys are fetched again; ``last``: seconds that they are used while the issuer is away;
    ``pause``: seconds from one fetch to the next; ``seconds``: how long a fetch may take in all.
    """

    def __init__(
        self, url: str, *, seconds: float = 5.0, fresh: float = 300.0, last: float = 3600.0, pause: float = 5.0
    ) -> None:
        self.url = url
        self._seconds, self._fresh, self._last, self._pause = seconds, fresh, last, pause
        self._lock = threading.Lock()
        self._running: Future[None] | None = None
        self._tried = self._came = float("-inf")
        self._good = False  # whether the last attempt came to something
        self._about: Mapping[str, Any] = {}
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._client = httpx2.Client(
            follow_redirects=False,
            timeout=seconds,
            trust_env=not is_here(url),
            headers={"accept": "application/json", "accept-encoding": "identity"},
            limits=httpx2.Limits(max_connections=8),
        )

    def about(self) -> Mapping[str, Any]:
        """What the issuer says of itself. Raises SourceError."""
        self._look(lambda: bool(self._about))
        return self._about

    def key(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Its key of this id that may be used with this algorithm, or None. Raises SourceError.

        Without an id: its only key of that kind.
        """
        self._look(lambda: self._named(kid, algorithm) is not None)
        found = self._named(kid, algorithm)
        if found is None and not self._good:  # it may be new: nobody can tell
            raise SourceError(AWAY)
        return found

    def post(self, url: str, form: Mapping[str, str], login: tuple[str, str]) -> Mapping[str, Any]:
        """What one of its endpoints answers, an object. Raises SourceError."""
        return self._bounded(lambda: self._asked("POST", url, data=dict(form), auth=login))

    def close(self) -> None:
        """Let go of connections. May be called twice."""
        self._client.close()

    def _named(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        found = [jwk for jwk in self._keys if (kid is None or jwk.get("kid") == kid) and fits(jwk, algorithm)]
        if len(found) != 1:
            return None
        try:
            return jwt.PyJWK(dict(found[0]), algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            return None

    def _look(self, enough: Callable[[], bool]) -> None:
        """Fetch what is published if that is needed and we may. Raises SourceError if what is known is too old."""
        now = time.monotonic()
        with self._lock:
            age = now - self._came
            wanted = age > self._fresh or not enough()
            running = self._running
            if wanted and running is None and now - self._tried >= self._pause:
                self._tried, self._good = now, False
                running = self._running = _started(self._fetch, self._over)
        if wanted and running is not None:
            with contextlib.suppress(SourceError, TooLong):  # what was known before may be good still
                running.result(self._seconds)
        if time.monotonic() - self._came > self._last:
            raise SourceError(AWAY)

    def _over(self) -> None:
        with self._lock:
            self._running = None

    def _fetch(self) -> None:
        about = self._asked("GET", f"{self.url.removesuffix('/')}/.well-known/openid-configuration")
        if about.get("issuer") != self.url:
            raise SourceError(AWAY)
        keys = self._asked("GET", about.get("jwks_uri")).get("keys")
        if not isinstance(keys, list) or len(keys) > MOST_KEYS:
            raise SourceError(AWAY)
        self._about, self._keys = about, tuple(key for key in keys if isinstance(key, dict))
        self._came, self._good = time.monotonic(), True

    def _bounded(self, work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = _started(work, lambda: None).result(self._seconds)
        except TooLong:
            raise SourceError(AWAY) from None
        return answer

    def _asked(self, method: str, url: object, **more: Any) -> Mapping[str, Any]:
        if not isinstance(url, str) or not is_safe(url) or (is_here(url) and not is_here(self.url)):
            raise SourceError(AWAY)
        try:
            with self._client.stream(method, url, **more) as response:
                if response.status_code != 200 or response.headers.get("content-encoding", "identity") != "identity":
                    raise SourceError(AWAY)
                body = bytearray()
                deadline = time.monotonic() + self._seconds
                for part in response.iter_raw():
                    body += part
                    if len(body) > MOST_BYTES or time.monotonic() > deadline:
                        raise SourceError(AWAY)
            answer = json.loads(body)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError, ValueError, RecursionError):
            raise SourceError(AWAY) from None
        if not isinstance(answer, dict):
            raise SourceError(AWAY)
        return answer


_KINDS = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
}
ALGORITHMS = tuple(_KINDS)
"""Asymmetric ones only: with a secret one, the public key itself would do as the secret."""


def fits(jwk: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a key may be used to verify a signature of this algorithm."""
    kind, curve = _KINDS[algorithm]
    if jwk.get("kty") != kind or (curve and jwk.get("crv") != curve):
        return False
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return False
    if kind == "RSA" and len(str(jwk.get("n", ""))) < 342:  # 2048 bits
        return False
    uses = jwk.get("key_ops")
    return uses is None or (isinstance(uses, list) and "verify" in uses)


def _started(work: Callable[[], Any], after: Callable[[], None]) -> Future[Any]:
    """Begin ``work`` in a thread that keeps nobody from ending; a thread of a pool would."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as problem:  # noqa: BLE001 - it is the waiting thread's
            after()
            future.set_exception(problem)
        else:
            after()
            future.set_result(result)

    threading.Thread(target=run, name="sso-issuer", daemon=True).start()
    return future
