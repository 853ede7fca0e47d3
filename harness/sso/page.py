"""The login page: plain HTML without script, and the signed forms that it carries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from harness.sso.keys import b64
from harness.sso.urls import origin_of

COOKIE = "psh_login"

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6877; --line: #c9d1da; --back: #f3f5f8; --card: #fff;
  --go: #1f5fbf; --bad: #a3241c; --badback: #fdecea }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf1; --soft: #a3afbd; --line: #3c4855; --back: #151b22; --card: #1e262f;
    --go: #3672cc; --bad: #ffb4ab; --badback: #44211f } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif }
main { width: min(25rem, calc(100vw - 2rem)); margin: 1rem; padding: 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem; overflow-wrap: anywhere }
h1 { margin: 0 0 .25rem; font-size: 1.35rem }
p { margin: .25rem 0 1rem; color: var(--soft) }
p b { color: var(--ink) }
label { display: block; margin: .9rem 0 .25rem; font-weight: 600 }
input { width: 100%; padding: .6rem .7rem; font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--soft); border-radius: .4rem }
button { width: 100%; margin-top: 1.4rem; padding: .7rem; font: inherit; font-weight: 600; color: #fff;
  background: var(--go); border: 0; border-radius: .4rem; cursor: pointer }
input:focus-visible, button:focus-visible { outline: 3px solid var(--go); outline-offset: 2px }
.bad { padding: .6rem .8rem; color: var(--bad); background: var(--badback); border-radius: .4rem }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

WRONG = (
    "That did not work: the e-mail address or the password is wrong, or there were too many attempts. Try again later."
)
STALE = "This page is too old, or was opened elsewhere. Go back to the program that you came from, and log in anew."
BUSY = "Too many log in at this moment. Wait a little, and try again."


class Forms:
    """Signs what a login page carries, so that nobody else makes one up. The key lives as long as the process."""

    def __init__(self, seconds: float = 600.0) -> None:
        self._key = secrets.token_bytes(32)
        self._seconds = seconds

    def sign(self, purpose: str, content: dict[str, Any]) -> str:
        """The content, readable, with its time and a signature for this purpose only."""
        body = b64(json.dumps([purpose, time.time() + self._seconds, content]).encode())
        return f"{body}.{self._signature(body)}"

    def read(self, purpose: str, signed: str) -> dict[str, Any] | None:
        """The content, or None: not signed by us for this purpose, or too old."""
        body, _, signature = signed.partition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(body).encode()):
            return None
        named, until, content = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return content if named == purpose and time.time() < until else None

    def _signature(self, body: str) -> str:
        return b64(hmac.new(self._key, body.encode("utf-8", "replace"), hashlib.sha256).digest())


def fingerprint(cookie: str) -> str:
    """What a form says of the cookie that belongs to it."""
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()


def login_page(client: str, redirect_uri: str, form: str, *, problem: str = "") -> str:
    """The page that asks who one is, for a program whose name nobody has checked."""
    host = html.escape(urlsplit(redirect_uri).netloc)
    bad = f'<p class="bad" role="alert">{html.escape(problem)}</p>' if problem else ""
    return _whole(
        "Log in to PromptSales",
        f"""<h1>Log in to PromptSales</h1>
<p>The program <b>{html.escape(client)}</b> will act in your name. You go back to <b>{host}</b>. If that is not what you
have just started, close this page.</p>{bad}
<form method="post" action="/login" autocomplete="on">
<input type="hidden" name="form" value="{html.escape(form)}">
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" maxlength="254" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required>
<button type="submit">Log in</button>
</form>""",
    )


def problem_page(problem: str) -> str:
    """A page that says why there is nothing to log in to."""
    return _whole("PromptSales", f'<h1>PromptSales</h1><p class="bad" role="alert">{html.escape(problem)}</p>')


def headers(redirect_uri: str | None) -> dict[str, str]:
    """What a browser may do with the page: nothing but show it, and send its form here and on to ``redirect_uri``."""
    places = "'none'"
    if redirect_uri is not None:
        # Browsers hold the redirect after the form to this, too; an IPv6 address cannot be written in it.
        origin = origin_of(redirect_uri)
        places = f"'self' {origin if '[' not in origin else origin.partition('//')[0]}"
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {places}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return {"content-security-policy": policy, "referrer-policy": "same-origin"}


def _whole(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{_STYLE}</style></head>
<body><main>
{body}
</main></body></html>
"""
