"""Brings the files of Hop that we run, and no others, out of a Maven repository.

Which files: ``hop_files.json`` (artifacts, entries, their SHA-256). Of a zip only the wanted entries are asked for, by
ranges of bytes; a repository that serves none is asked for the whole zip. A file has its name only once its hash was right.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import io
import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from harness.errors import EtlError

MAVEN = "https://repo.maven.apache.org/maven2"
"""Maven Central, as Maven itself knows it; PROMPTSALES_MAVEN_URL names another repository (``file:///…`` for a folder)."""

Progress = Callable[[int, int], None]
"""Bytes that are there so far, bytes that there will be."""

TRIES = 3
_CHUNK = 1 << 18
_NEAR = 1 << 16  # a gap of so many bytes is read over: cheaper than to ask anew
_SLACK = 1 << 12  # what an entry's own header may be longer than the directory's word of it
_TIMEOUT = 30.0  # seconds of silence


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of the home: ``entry`` in the artifact's zip, or the artifact itself (empty)."""

    name: str
    size: int
    sha256: str
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a Maven repository and what is wanted of it."""

    path: str
    size: int
    sha256: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Pins:
    """What a home is made of; ``key`` changes when any of it does."""

    version: str
    artifacts: tuple[Artifact, ...]
    key: str

    @property
    def size(self) -> int:
        """Bytes of the home."""
        return sum(piece.size for artifact in self.artifacts for piece in artifact.pieces)


def read_pins(file: Path) -> Pins:
    """What ``hop_files.json`` says."""
    text = file.read_text("utf-8")
    said = json.loads(text)
    artifacts = []
    for one in said["artifacts"]:
        if "entries" in one:
            pieces = tuple(Piece(name, size, sha, name) for name, (size, sha) in one["entries"].items())
        else:
            pieces = (Piece(one["to"], one["size"], one["sha256"]),)
        artifacts.append(Artifact(one["path"], one["size"], one["sha256"], pieces))
    return Pins(said["version"], tuple(artifacts), hashlib.sha256(text.encode()).hexdigest()[:8])


def fetch(pins: Pins, folder: Path, repository: str = "", progress: Progress = lambda done, total: None) -> None:
    """Bring into ``folder`` what is not there yet, whole and right. Raises EtlError; called again it goes on."""
    repository = (repository or os.environ.get("PROMPTSALES_MAVEN_URL") or MAVEN).rstrip("/")
    account = _Account(pins.size, progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in pins.artifacts:
            missing = [piece for piece in artifact.pieces if not _is(folder / piece.name, piece)]
            account.add(sum(piece.size for piece in artifact.pieces if piece not in missing))
            if not missing:
                continue
            for left in reversed(range(TRIES)):
                try:
                    _bring(artifact, missing, folder, repository, account)
                    break
                except (OSError, http.client.HTTPException) as problem:
                    if not left or not _passing(problem):
                        raise
                    missing = [piece for piece in missing if not _is(folder / piece.name, piece)]
    except zipfile.BadZipFile as problem:
        raise EtlError(f"Hop's files: {_host(repository)} sent no zip file ({problem}): run it again") from None
    except (OSError, http.client.HTTPException) as problem:
        raise EtlError(_words(problem, repository, folder, pins.size)) from None


@dataclass(slots=True)
class _Account:
    total: int
    progress: Progress
    done: int = 0

    def add(self, size: int) -> None:
        self.done += size
        self.progress(min(self.done, self.total), self.total)


def _bring(artifact: Artifact, missing: list[Piece], folder: Path, repository: str, account: _Account) -> None:
    url = f"{repository}/{artifact.path}"
    if not missing[0].entry:
        with _open(url) as whole:
            _write(whole, folder / missing[0].name, missing[0], repository, account)
        return
    near = folder / ".whole" / Path(artifact.path).name
    source: BinaryIO
    if repository.startswith("file:"):
        source = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path)).open("rb")  # noqa: SIM115 - below
    elif near.is_file() or not _serves_ranges(url):
        if not near.is_file():
            piece = Piece(near.name, artifact.size, artifact.sha256)
            account.total += artifact.size  # more than was thought
            with _open(url) as whole:
                _write(whole, near, piece, repository, account)
        source = near.open("rb")
    else:
        source = cast(BinaryIO, io.BufferedReader(_Remote(url, artifact.size), _CHUNK))
    with source, zipfile.ZipFile(source) as zipped:
        infos = {piece: zipped.getinfo(piece.entry) for piece in missing if piece.entry in zipped.NameToInfo}
        if len(infos) < len(missing):
            gone = next(piece.entry for piece in missing if piece not in infos)
            raise EtlError(f"{artifact.path} of {_host(repository)} has no {gone}: it is not the file that was pinned")
        order = sorted(infos, key=lambda piece: infos[piece].header_offset)
        raw = getattr(source, "raw", None)
        for number, piece in enumerate(order):
            if isinstance(raw, _Remote):
                raw.reach(_end_of_run([infos[one] for one in order[number:]]))
            with zipped.open(infos[piece]) as entry:
                _write(entry, folder / piece.name, piece, repository, account)
    near.unlink(missing_ok=True)


def _end_of_run(infos: list[zipfile.ZipInfo]) -> int:
    """Where the entries end that lie one behind the other, beginning with the first."""
    end = 0
    for info in infos:
        if end and info.header_offset > end + _NEAR:
            break
        end = info.header_offset + len(info.filename) + 30 + info.compress_size + _SLACK
    return end


class _Remote(io.RawIOBase):
    """A file on a server, read by ranges of bytes; seekable."""

    def __init__(self, url: str, size: int) -> None:
        self._url, self._size = url, size
        self._at = 0
        self._reach = 0
        self._answer: http.client.HTTPResponse | None = None
        self._answer_at = self._answer_end = 0

    def reach(self, end: int) -> None:
        """The next readings go up to ``end``: one request for all of them."""
        self._reach = min(end, self._size)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        gap = self._at - self._answer_at
        if self._answer is None or not 0 <= gap <= _NEAR or self._at >= self._answer_end:
            self._ask(max(self._reach, min(self._at + len(buffer), self._size)))
        elif gap:
            self._answer_at += len(self._answer.read(gap))
        assert self._answer is not None
        read = self._answer.readinto(buffer)
        if not read:
            raise http.client.IncompleteRead(b"", self._answer_end - self._at)
        self._at += read
        self._answer_at = self._at
        return read

    def _ask(self, end: int) -> None:
        if self._answer is not None:
            self._answer.close()
        self._answer = _open(self._url, f"bytes={self._at}-{end - 1}")
        if self._answer.status != 206:
            raise http.client.HTTPException("it serves ranges of bytes no more")
        self._answer_at, self._answer_end = self._at, end

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
        super().close()


def _serves_ranges(url: str) -> bool:
    with _open(url, "bytes=0-0") as answer:
        return answer.status == 206


def _open(url: str, span: str = "") -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    asked = urllib.request.Request(parts._replace(netloc=place).geturl(), headers={"Range": span} if span else {})
    if at:  # a company's own repository may want one
        said = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        asked.add_unredirected_header("Authorization", f"Basic {said}")
    return cast(http.client.HTTPResponse, urllib.request.urlopen(asked, timeout=_TIMEOUT))


def _write(source: object, path: Path, piece: Piece, repository: str, account: _Account) -> None:
    """From the source under a temporary name; moved when all of it is there and right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    read = cast(BinaryIO, source).read
    found, size = hashlib.sha256(), 0
    try:
        with partial.open("wb") as out:
            while chunk := read(_CHUNK):
                out.write(chunk)
                found.update(chunk)
                size += len(chunk)
                account.add(len(chunk))
        _check(piece, size, found.hexdigest(), repository)
        partial.replace(path)
    except BaseException:
        account.done -= size
        partial.unlink(missing_ok=True)
        raise


def _check(piece: Piece, size: int, found: str, repository: str) -> None:
    """Raise EtlError if these bytes are others than the pinned ones, IncompleteRead if they are too few."""
    if size < piece.size:
        raise http.client.IncompleteRead(b"", piece.size - size)
    if found != piece.sha256:
        raise EtlError(
            f"{piece.name} from {_host(repository)} is not the file that was pinned (SHA-256 {found[:12]}… instead of "
            f"{piece.sha256[:12]}…): it was changed on its way or there; nothing of it is kept"
        )


def _is(path: Path, piece: Piece) -> bool:
    """Whether it is there, whole and right."""
    try:
        if path.stat().st_size != piece.size:
            return False
        with path.open("rb") as there:
            return hashlib.file_digest(there, "sha256").hexdigest() == piece.sha256
    except OSError:
        return False


def _passing(problem: Exception) -> bool:
    """Whether trying again may help."""
    if isinstance(problem, urllib.error.HTTPError):
        return problem.code >= 500
    return not isinstance(problem, urllib.error.URLError) and getattr(problem, "errno", None) not in _LOCAL


_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT)


def _host(repository: str) -> str:
    """The repository without a login that its URL may hold."""
    parts = urllib.parse.urlsplit(repository)
    return parts.hostname or parts.path


def _words(problem: Exception, repository: str, folder: Path, size: int) -> str:
    where = _host(repository)
    if isinstance(problem, urllib.error.HTTPError):
        return (
            f"Hop cannot be fetched: {where} answers {problem.code} {problem.reason} for {_host(problem.url or '')}"
            f"{urllib.parse.urlsplit(problem.url or '').path}; PROMPTSALES_MAVEN_URL names another Maven repository"
        )
    if isinstance(problem, urllib.error.URLError) and not isinstance(problem.reason, FileNotFoundError):
        return (
            f"Hop cannot be fetched: no way to {where} ({problem.reason}); with a network run it again, without one set "
            "PROMPTSALES_MAVEN_URL to a Maven repository that is reached or PROMPTSALES_HOP to a Hop that is here"
        )
    if getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        free = _free(folder)
        return (
            f"Hop's files do not fit: {free} free in {folder}, {size / 1e6:.0f} MB are needed; make room, run it again"
        )
    if isinstance(problem, OSError) and problem.filename:
        return f"Hop's files cannot be written: {problem.strerror}: {problem.filename}"
    return f"Hop cannot be fetched: the connection to {where} broke ({problem}); run it again, it goes on where it was"


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 1e6:.0f} MB"
    except OSError:
        return "no room"
