"""Draws ``etl/``'s files with Hop's own painter, an SVG beside each: ``python -m harness.etl.hop_pictures``.

A picture says in its first line which file it was drawn from, by its hash: a test holds that against the file, without Hop.
Needs a Java that can compile (a JDK, no mere JRE).
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from harness.errors import EtlError, HarnessError
from harness.etl.hop import FLAGS, FOLDER, Hop, setup
from harness.etl.hop_home import classpath

_DRAWER = Path(__file__).with_name("HopPictures.java")
_MARK = re.compile(r"<!-- drawn by Hop from (\S+), SHA-256 ([0-9a-f]{64}) -->")
_SECONDS = 120


def files(folder: Path = FOLDER) -> list[Path]:
    """What has a picture: every pipeline and workflow."""
    return sorted([*folder.rglob("*.hpl"), *folder.rglob("*.hwf")])


def stale(folder: Path = FOLDER) -> list[str]:
    """Pictures that are missing, or of another state of their file, a line each."""
    wrong = []
    for file in files(folder):
        picture = file.with_suffix(".svg")
        mark = _MARK.search(picture.read_text("utf-8")) if picture.is_file() else None
        if mark is None:
            wrong.append(f"{picture.name}: there is no picture of {file.name}")
        elif mark[2] != _hash(file):
            wrong.append(f"{picture.name}: {file.name} has changed since it was drawn")
    wrong += [
        f"{picture.name}: there is no file that it shows"
        for picture in sorted(folder.rglob("*.svg"))
        if not any(picture.with_suffix(end).is_file() for end in (".hpl", ".hwf"))
    ]
    return wrong


def draw(hop: Hop, folder: Path = FOLDER) -> dict[Path, str]:
    """Each picture's file and its text, as Hop draws it now. Raises EtlError."""
    if hop.home is None or hop.java is None:
        raise EtlError("pictures are drawn by a Hop that is here, not by Docker's")
    drawn = {}
    with tempfile.TemporaryDirectory(prefix="promptsales-hop-") as private:
        made = {file: Path(private) / f"{number}.svg" for number, file in enumerate(files(folder))}
        command = [str(hop.java), *FLAGS, f"-DHOP_CONFIG_FOLDER={private}", f"-DHOP_AUDIT_FOLDER={private}"]
        command += ["-cp", classpath(hop.home), str(_DRAWER)]
        for file, picture in made.items():
            command += [str(file), str(picture)]
        try:
            done = subprocess.run(command, cwd=hop.home, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise EtlError(f"the pictures cannot be drawn: {problem}") from None
        if done.returncode or not all(picture.is_file() for picture in made.values()):
            said = (done.stderr or done.stdout).strip().splitlines() or ["Hop said nothing"]
            raise EtlError(f"the pictures cannot be drawn: {said[0]}")
        for file, picture in made.items():
            mark = f"<!-- drawn by Hop from {file.name}, SHA-256 {_hash(file)} -->"
            drawn[file.with_suffix(".svg")] = f"{mark}\n{_clean(picture.read_text('utf-8'), file)}"
    return drawn


def _clean(svg: str, file: Path) -> str:
    """Without what is not of the picture (XML declaration, spaces at line ends, an empty margin); scalable."""
    text = re.sub(r"^\s*<\?xml[^>]*\?>\s*", "", svg)
    width, height = _extent(file)
    text = re.sub(r'(<svg [^>]*?\b)width="\d+"', rf'\1width="{width}"', text, count=1)
    text = re.sub(r'(<svg [^>]*?\b)height="\d+"', rf'\1height="{height}"', text, count=1)
    text = text.replace("<svg ", f'<svg viewBox="0 0 {width} {height}" ', 1)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _extent(file: Path) -> tuple[int, int]:
    """Width and height that hold all icons with their names, and all notes."""
    width = height = 0
    for one in ElementTree.parse(file).iter():
        x, y = one.findtext("xloc"), one.findtext("yloc")
        if x and y:
            note = one.tag == "notepad"
            width = max(width, int(x) + (int(one.findtext("width") or 0) + 24 if note else 112))
            height = max(height, int(y) + (int(one.findtext("height") or 0) + 24 if note else 80))
    return width, height


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> int:
    """Draw all of them; the exit code."""
    try:
        for picture, text in draw(setup()).items():
            picture.write_text(text, "utf-8")
            sys.stdout.write(f"{picture.relative_to(FOLDER.parent)}\n")
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
