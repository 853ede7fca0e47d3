"""Running the system's programs, and saying why they cannot be run here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the system's programs lie; a user's PATH often lacks the sbin ones."""

PACKAGES = {"ip": "iproute2", "tc": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}
PACKAGES |= {"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21}

ENGLISH = {"PATH": SYSTEM, "LC_ALL": "C"}

REFUSALS = re.compile(
    "Operation not permitted|permission denied|Operation not supported|Unknown device type|Read-only file system", re.I
)
"""What the kernel answers where it may not, or cannot, give a namespace or a link; all else is a fault of the tests."""


class Refused(Exception):
    """Namespaces cannot be made here: the reason and what to do, in one line."""


class Failed(Exception):
    """A program of the system failed: its command line and what it said."""


def program(name: str) -> str:
    """The whole path of a program (sshd insists on being started by it)."""
    return shutil.which(name, path=SYSTEM) or name


def missing() -> str | None:
    """Why there can be no PCs here, and what to do about it; None if there can."""
    if sys.platform != "linux":
        return f"PCs on one machine are Linux network namespaces, and this is {sys.platform}: run these tests on Linux"
    if os.geteuid() != 0:
        return "network namespaces are made by root: run these tests as root"
    lacking = [name for name in PACKAGES if not shutil.which(name, path=SYSTEM)]
    if lacking:
        packages = " ".join(sorted({PACKAGES[name] for name in lacking}))
        return f"no {', '.join(lacking)} on this machine: apt-get install {packages}"
    status = Path("/proc/self/status").read_text()
    granted = int(re.findall(r"^CapEff:\s*(\w+)$", status, re.MULTILINE)[0], 16)
    withheld = [name for name, bit in CAPABILITIES.items() if not granted >> bit & 1]
    if withheld:
        return f"root without {', '.join(withheld)}: start the container with --privileged"
    return None


def call(argv: Sequence[str], text: str | None = None) -> str:
    """Run a program that should succeed, with `text` as its input; gives what it printed.

    Raises `Refused` if the kernel does not allow it here, `Failed` for anything else.
    """
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30, check=False, env=ENGLISH)
    if done.returncode:
        failed(argv, done.returncode, done.stderr or done.stdout)
    return done.stdout


def failed(argv: Sequence[str], code: int, said: str) -> None:
    """Raise what fits what was said."""
    said = " / ".join(said.split("\n")).strip(" /")
    if REFUSALS.search(said):
        raise Refused(
            f"this kernel has no such namespaces and links, or not for a container without --privileged: {said}"
        )
    raise Failed(f"{' '.join(argv)} ended with {code}: {said}")
