"""An ``ssh`` that stays on this machine: what it is told to run there, it runs here. For tests without an ssh server."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

_SCRIPT = """\
#!/bin/sh
while getopts "46AaCfGgKkMNnqsTtVvXxYyB:b:c:D:E:e:F:I:i:J:L:l:m:O:o:p:Q:R:S:W:w:" option; do
  [ "$option" = E ] && log=$OPTARG
done
shift $((OPTIND - 1))
host=$1
shift
case $host in
  off*) echo "ssh: connect to host $host port 22: Connection timed out" >> "$log"; exit 255 ;;
  locked*) echo "ana@$host: Permission denied (publickey)." >> "$log"; exit 255 ;;
  strange*) echo "Host key verification failed." >> "$log"; exit 255 ;;
  chatty*) echo "Welcome to $host!" ;;
esac
PATH={python}:$PATH
SSH_CONNECTION="127.0.0.1 50000 127.0.0.1 22"
export PATH SSH_CONNECTION
exec sh -c "$*"
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, python: str = sys.executable) -> None:
    """Put it first on PATH; ``python3`` there is ``python``.

    Machines called off…, locked… and strange… cannot be reached, each in its way; chatty… greets before the command runs.
    """
    there = folder / "there"
    there.mkdir()
    (there / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n')
    (there / "python3").chmod(0o755)
    here = folder / "ssh-here"
    here.mkdir()
    (here / "ssh").write_text(_SCRIPT.replace("{python}", shlex.quote(str(there))))
    (here / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")


def without_packages(folder: Path) -> Path:
    """A Python that has nothing but its standard library."""
    script = folder / "bare-python"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S -E "$@"\n')
    script.chmod(0o755)
    return script
