"""Where Hop is: one that the user names, ours in the cache folder, Docker's; and how ours comes to be there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EtlError
from harness.etl.hop_fetch import Pins, Progress, fetch, read_pins

IMAGE = "apache/hop:2.15.0"
"""What Docker runs where there is no Java."""

PINS = Path(__file__).with_name("hop_files.json")

NEEDED = (
    *("hop-engine-*.jar", "hop-transform-tableinput-*.jar", "hop-transform-pgbulkloader-*.jar"),
    *("hop-transform-mongodb-*.jar", "hop-transform-janino-*.jar", "hop-misc-projects-*.jar"),
)
"""Without these there is no Hop, or it is one that cannot run what lies in ``etl/``."""


@dataclass(frozen=True, slots=True)
class Place:
    """A Hop that is there: a home on this disk, or an image that Docker runs (``home`` is None)."""

    home: Path | None
    image: str = ""


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where ours is kept: PROMPTSALES_HOP_CACHE, else the user's cache folder."""
    environ = os.environ if environ is None else environ
    if named := environ.get("PROMPTSALES_HOP_CACHE"):
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_path("promptsales")) / "hop"


def own_home(pins: Pins | None = None) -> Path:
    """Ours, whether it is there or not; another list of files is another home."""
    pins = pins or read_pins(PINS)
    return cache_folder() / f"hop-{pins.version}-{pins.key}"


def find_place() -> Place | None:
    """A Hop that is there: PROMPTSALES_HOP's, ours, Docker's where there is no Java. Raises EtlError: it names none."""
    if named := os.environ.get("PROMPTSALES_HOP"):
        home = Path(named).expanduser().absolute()
        check_home(home)
        return Place(home)
    home = own_home()
    return Place(home) if home.is_dir() else None


def docker_place() -> Place | None:
    """Docker's image, if there is a Docker. Nothing is pulled before it is run."""
    return Place(None, IMAGE) if shutil.which("docker") else None


def check_home(home: Path) -> None:
    """Raise EtlError if it is no home of Hop, or of one that lacks a plugin we need."""
    if not home.is_dir():
        raise EtlError(f"PROMPTSALES_HOP={home}: there is no such folder")
    for pattern in NEEDED:
        if next(home.glob(f"**/{pattern}"), None) is None:
            raise EtlError(
                f"PROMPTSALES_HOP={home} is no home of Apache Hop 2.15 with the plugins that etl/ needs: no {pattern} in it"
            )


def bring(progress: Progress, repository: str = "", pins: Pins | None = None) -> Path:
    """Our home, fetched if it is not there. One process fetches, others wait for it. Raises EtlError."""
    from filelock import FileLock

    pins = pins or read_pins(PINS)
    home = own_home(pins)
    if home.is_dir():
        return home
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home.parent / f"{home.name}.lock"):
            if not home.is_dir():
                partial = home.with_name(f"{home.name}.part")  # keeps its name: the next try goes on in it
                fetch(pins, partial, repository, progress)
                shutil.rmtree(partial / ".whole", ignore_errors=True)
                partial.rename(home)
    except OSError as problem:
        raise EtlError(
            f"Hop cannot be kept in {home.parent}: {problem.strerror or problem}; PROMPTSALES_HOP_CACHE names another folder"
        ) from None
    return home


def classpath(home: Path) -> str:
    """Of a home of ours or of a full Hop, as the JVM takes it."""
    folders = ["lib/core", "lib/extra", "lib/beam"]
    folders += [str(path.relative_to(home)) for path in sorted(home.glob("lib/swt/*/*")) if path.is_dir()]
    return os.pathsep.join(str(home / folder / "*") for folder in folders if (home / folder).is_dir())
