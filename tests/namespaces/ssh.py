"""Both ends of ssh between the controller and its PCs: keys made for the run, and nobody's ~/.ssh read or written."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from namespaces.commands import call, program

SERVER = """\
Port 22
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {key}.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
MaxStartups 100
PrintMotd no
PrintLastLog no
PidFile {folder}/sshd.pid
SetEnv {environment}
"""

CLIENT = """\
Host {name} {address}
    HostName {address}
    User root
    IdentityFile {key}
    UserKnownHostsFile {known}

"""

CLIENT_ALL = """\
Host *
    IdentitiesOnly yes
    IdentityAgent none
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    LogLevel ERROR
"""


def make_key(file: Path) -> str:
    """A new pair of keys, in `file` and `file`.pub; gives the public one."""
    call([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)])
    return file.with_name(file.name + ".pub").read_text("utf-8").strip()


def write_server(folder: Path, address: str, key: Path, environment: Mapping[str, str]) -> str:
    """What a PC's sshd reads, in `folder`; gives its public host key."""
    given = " ".join(f'"{name}={value}"' for name, value in environment.items())
    text = SERVER.format(folder=folder, address=address, key=key, environment=given)
    said = subprocess.run([program("ssh"), "-V"], capture_output=True, text=True, check=False).stderr
    version = re.match(r"OpenSSH_(\d+)\.(\d+)", said)
    if version and (int(version[1]), int(version[2])) >= (9, 8):
        text += "PerSourcePenalties no\n"  # else who breaks off often, as tests do, is not let in for a while
    (folder / "sshd_config").write_text(text, "utf-8")
    return make_key(folder / "host_key")


def write_client(folder: Path, key: Path, servers: Mapping[str, tuple[str, str]]) -> Path:
    """What `ssh NAME` reads, and `bin/ssh`, which reads it: servers are addresses and public host keys by name."""
    known = folder / "known_hosts"
    known.write_text("".join(f"{name},{at} {public}\n" for name, (at, public) in servers.items()), "utf-8")
    config = folder / "ssh_config"
    hosts = [CLIENT.format(name=name, address=at, key=key, known=known) for name, (at, _) in servers.items()]
    config.write_text("".join(hosts) + CLIENT_ALL, "utf-8")
    (folder / "bin").mkdir()
    shim = folder / "bin/ssh"
    shim.write_text(f'#!/bin/sh\nexec {program("ssh")} -F {config} "$@"\n', "utf-8")
    shim.chmod(0o755)
    return config


def privilege_separation() -> None:
    """The folder that every sshd asks for, and that else the system makes when it starts its own."""
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
