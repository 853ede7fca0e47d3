"""Which URLs an issuer, its keys, a redirect and a resource may have."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from harness.errors import DataError
from harness.servers.base import is_loopback

_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
"""A name or an address; other signs would mean something in a page's policy, where a host stands too."""


def parts_of(url: str) -> SplitResult | None:
    """The parts of an absolute http(s) URL of printable ASCII without login and fragment, or None."""
    if not url.isascii() or not url.isprintable() or any(sign in url for sign in ' "<>\\^`{|}'):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or "#" in url:
        return None
    return parts if _HOST.fullmatch(parts.hostname) else None


def is_safe(url: str, most: int = 2000) -> bool:
    """Whether it is an absolute https URL, or an http URL of this very machine."""
    parts = parts_of(url) if len(url) <= most else None
    if parts is None:
        return False
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_here(url: str) -> bool:
    """Whether it is a URL of this very machine."""
    parts = parts_of(url)
    return parts is not None and is_loopback(parts.hostname or "")


def origin_of(url: str) -> str:
    """``https://host:port``, as a browser says it. The URL must be one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def issuer_url(url: str, *, ours: bool = True) -> str:
    """The issuer's URL as its tokens say it; only others' may end with a slash. Raises DataError if it cannot be one."""
    parts = parts_of(url)
    if parts is None or parts.query or "?" in url or (ours and url.endswith("/")):
        end = ", no slash at the end" if ours else ""
        raise DataError(f"{url!r} cannot be an issuer's URL: scheme, host, no query, no fragment{end}")
    if not is_safe(url):
        raise DataError(f"{url}: an issuer's URL must be https, unless its host is this machine (127.0.0.1, localhost)")
    return url
