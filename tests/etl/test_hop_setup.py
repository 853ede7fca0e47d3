"""Hop is found or brought: against a small Maven repository on this machine, as good and as bad as they come."""

import errno
import hashlib
import http.server
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import EtlError
from harness.etl import hop, hop_fetch, hop_home
from harness.etl.hop_fetch import Pins, fetch, read_pins
from harness.etl.hop_java import find_java

pytestmark = pytest.mark.etl

NAMES = ("lib/core/hop-engine-1.jar", "lib/core/other.jar", "plugins/a/hop-transform-a-1.jar")


@dataclass
class Repository:
    """Files, and how they are served."""

    files: dict[str, bytes]
    ranges: bool = True
    cut: int = -1
    """Bytes of an answer after which the connection breaks; -1: never."""
    cuts: int = 1_000
    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    url: str = ""


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name in NAMES:
            zipped.writestr(name, _content(name))
            zipped.writestr(f"unwanted/{name}", os.urandom(400_000))
    made = Repository({"g/a/1/a-1.zip": whole.getvalue(), "g/b/1/b-1.jar": b"a jar" * 10_000})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = made.files.get(self.path.removeprefix("/m/"))
            made.asked.append((self.path, self.headers.get("Range", "")))
            if content is None or made.status != 200:
                self.send_error(404 if content is None else made.status)
                return
            span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")) if made.ranges else None
            if span:
                content = content[int(span[1]) : int(span[2]) + 1]
            self.send_response(206 if span else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if 0 <= made.cut < len(content) and made.cuts:
                made.cuts -= 1
                content = content[: made.cut]
            made.sent += len(content)
            self.wfile.write(content)

        def log_message(self, *said: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}/m"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pins(repository: Repository, tmp_path: Path) -> Pins:
    zipped, jar = repository.files["g/a/1/a-1.zip"], repository.files["g/b/1/b-1.jar"]
    entries = {name: [len(_content(name)), hashlib.sha256(_content(name)).hexdigest()] for name in NAMES}
    said = {
        "version": "1",
        "artifacts": [
            {
                "path": "g/a/1/a-1.zip",
                "size": len(zipped),
                "sha256": hashlib.sha256(zipped).hexdigest(),
                "entries": entries,
            },
            {
                "path": "g/b/1/b-1.jar",
                "size": len(jar),
                "sha256": hashlib.sha256(jar).hexdigest(),
                "to": "lib/extra/b-1.jar",
            },
        ],
    }
    file = tmp_path / "pins.json"
    file.write_text(json.dumps(said))
    return read_pins(file)


def _content(name: str) -> bytes:
    return hashlib.sha512(name.encode()).digest() * 2_000


def _is_whole(home: Path) -> bool:
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    return found == {*NAMES, "lib/extra/b-1.jar"} and all(
        (home / name).read_bytes() == _content(name) for name in NAMES
    )


def test_only_what_is_wanted_is_fetched(repository: Repository, pins: Pins, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    fetch(pins, tmp_path / "home", repository.url, lambda done, total: told.append((done, total)))
    assert _is_whole(tmp_path / "home")
    assert told[-1] == (pins.size, pins.size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert repository.sent < len(repository.files["g/a/1/a-1.zip"])  # of 1.2 MB that nobody wants not all


def test_without_ranges_the_whole_zip_is_fetched(repository: Repository, pins: Pins, tmp_path: Path) -> None:
    repository.ranges = False
    fetch(pins, tmp_path / "home", repository.url)
    home = tmp_path / "home"
    (home / ".whole").rmdir()
    assert _is_whole(home)


def test_a_folder_is_a_repository_too(repository: Repository, pins: Pins, tmp_path: Path) -> None:
    for path, content in repository.files.items():
        (tmp_path / "m" / path).parent.mkdir(parents=True)
        (tmp_path / "m" / path).write_bytes(content)
    fetch(pins, tmp_path / "home", (tmp_path / "m").as_uri())
    assert _is_whole(tmp_path / "home")


def test_a_connection_that_breaks_is_made_anew(repository: Repository, pins: Pins, tmp_path: Path) -> None:
    repository.cut, repository.cuts = 9_000, 2
    fetch(pins, tmp_path / "home", repository.url)
    assert _is_whole(tmp_path / "home")


def test_half_a_download_is_none_and_goes_on(repository: Repository, pins: Pins, tmp_path: Path) -> None:
    home = tmp_path / "home"
    kept = repository.files.pop("g/b/1/b-1.jar")
    with pytest.raises(EtlError, match=r"127\.0\.0\.1 answers 404 Not Found for 127\.0\.0\.1/m/g/b/1/b-1\.jar"):
        fetch(pins, home, repository.url)
    repository.files["g/b/1/b-1.jar"] = kept
    repository.asked.clear()
    fetch(pins, home, repository.url)
    assert _is_whole(home)
    assert [path for path, _ in repository.asked] == ["/m/g/b/1/b-1.jar"]


def test_a_connection_that_always_breaks(repository: Repository, pins: Pins, tmp_path: Path) -> None:
    repository.cut = 9_000
    with pytest.raises(EtlError, match=r"the connection to 127\.0\.0\.1 broke .*it goes on where it was"):
        fetch(pins, tmp_path / "home", repository.url)
    assert not [path for path in (tmp_path / "home").rglob("*") if path.name.endswith(".part")]


def test_other_bytes_than_the_pinned_ones(repository: Repository, pins: Pins, tmp_path: Path) -> None:
    jar = repository.files["g/b/1/b-1.jar"]
    repository.files["g/b/1/b-1.jar"] = b"b" + jar[1:]
    with pytest.raises(
        EtlError, match=r"b-1\.jar from 127\.0\.0\.1 is not the file that was pinned .*nothing of it is kept"
    ):
        fetch(pins, tmp_path / "home", repository.url)
    assert not (tmp_path / "home/lib/extra/b-1.jar").exists()


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_repository_that_refuses(repository: Repository, pins: Pins, tmp_path: Path, status: int) -> None:
    repository.status = status
    with pytest.raises(EtlError, match=f"answers {status}.*PROMPTSALES_MAVEN_URL") as raised:
        fetch(pins, tmp_path / "home", repository.url.replace("://", "://ana:s3cret@"))
    assert "s3cret" not in str(raised.value)


def test_no_network(pins: Pins, tmp_path: Path) -> None:
    with pytest.raises(EtlError, match=r"no way to 127\.0\.0\.1 .*PROMPTSALES_HOP") as raised:
        fetch(pins, tmp_path / "home", "http://127.0.0.1:1/m")
    assert "\n" not in str(raised.value)


def test_a_full_disk(repository: Repository, pins: Pins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hop_fetch.Path, "replace", full)
    with pytest.raises(EtlError, match=r"do not fit: \d+ MB free in .*make room"):
        fetch(pins, tmp_path / "home", repository.url)
    monkeypatch.undo()
    fetch(pins, tmp_path / "home", repository.url)
    assert _is_whole(tmp_path / "home")


def test_a_home_is_there_whole_or_not_at_all(
    repository: Repository, pins: Pins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTSALES_HOP_CACHE", str(tmp_path / "cache"))
    kept = repository.files.pop("g/b/1/b-1.jar")
    with pytest.raises(EtlError):
        hop_home.bring(lambda done, total: None, repository.url, pins)
    assert not hop_home.own_home(pins).exists()
    repository.files["g/b/1/b-1.jar"] = kept
    homes: list[Path] = []
    threads = [
        threading.Thread(target=lambda: homes.append(hop_home.bring(lambda done, total: None, repository.url, pins)))
        for _ in range(4)
    ]
    repository.asked.clear()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert homes == [hop_home.own_home(pins)] * 4
    assert _is_whole(homes[0])
    assert len(repository.asked) == 1  # one of them fetched what was missing


def test_a_cache_folder_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pins: Pins) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMPTSALES_HOP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(EtlError, match=r"cannot be kept in .*PROMPTSALES_HOP_CACHE names another"):
        hop_home.bring(lambda done, total: None, "http://127.0.0.1:1", pins)


def test_what_is_pinned() -> None:
    pins = read_pins(hop_home.PINS)
    pieces = [piece for artifact in pins.artifacts for piece in artifact.pieces]
    assert len({piece.name for piece in pieces}) == len(pieces)
    assert all(re.fullmatch("[0-9a-f]{64}", piece.sha256) for piece in pieces)
    assert all(not Path(piece.name).is_absolute() and ".." not in piece.name for piece in pieces)
    assert 40e6 < pins.size < 60e6


def test_a_folder_that_is_no_hop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTSALES_HOP", str(tmp_path))
    with pytest.raises(EtlError, match="is no home of Apache Hop"):
        hop.find()
    monkeypatch.setenv("PROMPTSALES_HOP", str(tmp_path / "none"))
    with pytest.raises(EtlError, match="there is no such folder"):
        hop.find()


def test_a_hop_that_the_user_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pattern in hop_home.NEEDED:
        (tmp_path / "lib" / pattern.replace("*", "2.15.0")).parent.mkdir(exist_ok=True)
        (tmp_path / "lib" / pattern.replace("*", "2.15.0")).touch()
    _java(tmp_path / "jdk", "17.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    monkeypatch.setenv("PROMPTSALES_HOP", str(tmp_path))
    found = hop.find()
    assert found == hop.setup() == hop.Hop(tmp_path, tmp_path / "jdk/bin/java")


def test_none_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMPTSALES_HOP", raising=False)
    monkeypatch.setenv("PROMPTSALES_HOP_CACHE", str(tmp_path))
    _java(tmp_path / "jdk", "21")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert hop.find() is None


def _java(home: Path, version: str) -> Path:
    java = home / "bin/java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return java


def test_no_java(tmp_path: Path) -> None:
    with pytest.raises(EtlError, match=r"needs Java 17 or newer: none is found; install one .*or set JAVA_HOME"):
        find_java({}, (tmp_path,))


def test_java_that_is_too_old(tmp_path: Path) -> None:
    _java(tmp_path / "a", "11.0.2")
    _java(tmp_path / "b", "1.8.0_402")
    environ = {"JAVA_HOME": str(tmp_path / "gone")}
    with pytest.raises(
        EtlError, match=r"JAVA_HOME=.*gone has no bin/java; .*a/bin/java is Java 11; .*b/bin/java is Java 8"
    ):
        find_java(environ, (tmp_path,))


def test_the_first_java_that_is_new_enough(tmp_path: Path) -> None:
    _java(tmp_path / "jvm/old", "11")
    new = _java(tmp_path / "jvm/new-25", "25")
    on_path = _java(tmp_path / "path", "17.0.1")
    named = _java(tmp_path / "named", "21")
    folders = (tmp_path / "jvm",)
    assert find_java({}, folders) == new
    assert find_java({"PATH": str(on_path.parent)}, folders) == on_path
    assert find_java({"PATH": str(on_path.parent), "JAVA_HOME": str(tmp_path / "named")}, folders) == named


def test_java_that_says_its_version_only_when_run(tmp_path: Path) -> None:
    java = _java(tmp_path / "a", "")
    (tmp_path / "a/release").unlink()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.9\" 2023' >&2\n")
    assert find_java({}, (tmp_path,)) == java
