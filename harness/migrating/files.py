"""The logins that are wanted, as a folder says: ``<component>/<LOGICAL>_URL``, a URL in each, as Secrets are mounted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.errors import DataError, did_you_mean
from harness.kubernetes.parts import COMPONENTS
from harness.servers.urls import VARIABLE, engine_of

OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Login:
    """A login that a component comes in by."""

    component: str
    logical: str
    user: str
    url: str = field(repr=False)
    password: str = field(repr=False)


def read_logins(folder: Path) -> list[Login]:
    """What the folder wants, by component and database. Raises DataError; no secret is in its text."""
    found: list[Login] = []
    try:
        entries = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError as problem:
        raise DataError(f"--logins {folder}: {problem.strerror or problem}") from None
    for entry in entries:
        if entry.name not in COMPONENTS or entry.name == OWNER:
            known = [name for name in COMPONENTS if name != OWNER]
            raise DataError(
                f"{entry}: there is no component {entry.name!r}{did_you_mean(entry.name, known)}: {', '.join(known)}"
            )
        users = COMPONENTS[entry.name].logins
        found += [_login(entry, logical, users) for logical in users if (entry / VARIABLE[logical]).exists()]
    return found


def _login(folder: Path, logical: str, users: Mapping[str, str]) -> Login:
    file = folder / VARIABLE[logical]
    try:
        url = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise DataError(f"{file} cannot be read: {reason}") from None
    engine_of(url, str(file))
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user != users[logical]:
        raise DataError(f"{file}: its user is {user!r}, and this component's is {users[logical]!r}")
    if len(password) < 12:
        raise DataError(f"{file}: a password of 12 signs or more is needed")
    return Login(folder.name, logical, user, url, password)
