"""What looks like a secret in a text: shapes of tokens, keys, passwords in URLs. A net with wide meshes, the last one."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORDS = r"password|passwd|pwd|passphrase|contrase(?:ñ|n)a|clave|secret|token|api[_-]?key"
_SHAPES = {
    "a signed token": r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)*",
    "an API key": r"\b(?:sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|AKIA[A-Z0-9]{16}"
    r"|AIza[\w-]{30,}|xox[abprs]-[\w-]{10,}|pcsk_\w{16,})",
    "a key in PEM": r"-----BEGIN [A-Z0-9 ]+-----",
    "a password in a URL": r"\b\w[\w+.-]*\\?:(?:\\?/){2}[^\s/:@|\\]*\\?:(?!\\?\*)[^\s@|]+?\\?@",
    "a password": rf"(?i)\b(?:{_WORDS})(?:=[\"']?|[\"']\s*\\?:\s*[\"'])(?!\\?\*|…)[^\s\"',;|)}}]{{4,}}",
    "an authorization": r"(?i)\bBearer\s+[A-Za-z0-9._~+/-]{16,}",
}
_ANY = re.compile(
    "|".join(f"(?P<s{place}>{shape})" for place, shape in enumerate(_SHAPES.values())).replace("(?i)", ""), re.I
)
_NAMES = tuple(_SHAPES)


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """Where something begins that looks like a secret, and what it looks like. Markdown's backslashes do not hide it.

    >>> list(secrets_in("see postgresql://ana:sesame@db/x"))
    [(4, 'a password in a URL')]
    """
    for found in _ANY.finditer(text):
        yield found.start(), _NAMES[int(str(found.lastgroup)[1:])]


def masked(text: str) -> str:
    """The text with ``***`` for what looks like a secret.

    >>> masked('{"api_key": "sk-0123456789abcdef0"}')
    '{"***"}'
    """
    return _ANY.sub("***", text)
