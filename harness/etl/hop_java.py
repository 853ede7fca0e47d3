"""Finds a Java that Hop runs on: 17 or newer, from JAVA_HOME, PATH or where systems put it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import EtlError

OLDEST = 17
"""Hop 2.15 is compiled for it."""

_FOLDERS = (Path("/usr/lib/jvm"), Path("/usr/java"), Path("/Library/Java/JavaVirtualMachines"))
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_RELEASE = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)


def find_java(environ: Mapping[str, str] | None = None, folders: tuple[Path, ...] = _FOLDERS) -> Path:
    """The ``java`` to run. Raises EtlError: none, or only such as are too old; says how to install one."""
    environ = os.environ if environ is None else environ
    old: list[str] = []
    if (home := environ.get("JAVA_HOME")) and not _program(Path(home)).is_file():
        old.append(f"JAVA_HOME={home} has no bin/java")
    for java in _candidates(environ, folders):
        version = _version(java)
        if version >= OLDEST:
            return java
        old.append(f"{java} is Java {version}" if version else f"{java} does not run")
    found = f" ({'; '.join(dict.fromkeys(old))})" if old else ""
    raise EtlError(f"Apache Hop needs Java {OLDEST} or newer: none is found{found}; {_how()}, or set JAVA_HOME")


def _candidates(environ: Mapping[str, str], folders: tuple[Path, ...]) -> Iterator[Path]:
    if home := environ.get("JAVA_HOME"):
        yield from filter(Path.is_file, [_program(Path(home))])
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(on_path)
    for folder in folders:
        if folder.is_dir():
            homes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
            for home_folder in homes:
                inner = home_folder / "Contents" / "Home"
                yield from filter(Path.is_file, [_program(inner if inner.is_dir() else home_folder)])


def _program(home: Path) -> Path:
    return home / "bin" / ("java.exe" if os.name == "nt" else "java")


def _version(java: Path) -> int:
    """Its major version; 0 if it does not say one."""
    try:
        said = _RELEASE.search((java.resolve().parents[1] / "release").read_text("utf-8", "replace"))
        if said:
            return int(said[1])
    except OSError:
        pass
    try:
        done = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return 0
    said = _VERSION.search(done.stderr + done.stdout)
    return int(said[1]) if said else 0


def _how() -> str:
    if sys.platform == "darwin":
        return "install one ('brew install openjdk@17')"
    if os.name == "nt":
        return "install one ('winget install EclipseAdoptium.Temurin.17.JRE')"
    return "install one ('sudo apt install openjdk-17-jre-headless')"
