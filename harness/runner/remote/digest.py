"""What tells one state of a package from another; its source travels, so that a machine can be asked for its own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType


def digest(package: ModuleType) -> str:
    """Of all its Python files, whatever line ends they were checked out with."""
    made = hashlib.sha256()
    for file in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
        made.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return made.hexdigest()
