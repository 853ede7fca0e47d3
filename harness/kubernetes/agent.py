"""What an agent's pod runs: an ssh server for whoever is no root, which opens nothing but a shell for one key.

A Secret's volume has modes that sshd does not take for a list of keys (its folder may be written to by everybody), so what
is in it is copied into a folder that only we can enter. ``StrictModes`` is off for that folder's sake: above it is ``/tmp``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.errors import HostError
from harness.kubernetes.parts import SSH_PORT

KEYS = Path("/etc/harness-agent-ssh")
"""Where the Secret ``harness-agent-ssh`` is mounted."""

HOST_KEY, AUTHORIZED = "ssh_host_ed25519_key", "authorized_keys"

HANDED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "PROMPTSALES_NODE", "PROMPTSALES_ODBC_DRIVER")
"""What sessions find in their environment, as the pod has it: sshd begins each of them with an empty one."""

_CONFIG = """\
Port {port}
{addresses}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
AllowUsers {user}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
PermitRootLogin no
PermitUserEnvironment no
PermitUserRC no
PermitTTY no
PermitTunnel no
DisableForwarding yes
GatewayPorts no
UsePAM no
UseDNS no
StrictModes no
PrintMotd no
PrintLastLog no
LoginGraceTime 20
MaxStartups 50
ClientAliveInterval 5
ClientAliveCountMax 3
LogLevel INFO
PidFile none
SetEnv {environment}
"""


def prepare(
    keys: Path = KEYS,
    port: int = SSH_PORT,
    addresses: tuple[str, ...] = ("0.0.0.0", "::"),
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """Write what sshd reads into a new folder that only we can enter; gives the command that runs it.

    Raises HostError: run as root, no sshd, a key that is missing or cannot be read, no name in ``/etc/passwd``.
    """
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        raise HostError("an agent is no root: run it as the image's own user (runAsUser: 10001)")
    sshd = shutil.which("sshd", path=f"{environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")
    if sshd is None:
        raise HostError("there is no sshd here: install openssh-server; the image of the Dockerfile has it")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="harness-agent-"))  # mode 0700
    for source, name in ((HOST_KEY, "host_key"), (AUTHORIZED, "authorized_keys")):
        _copy(keys / source, folder / name)
    text = _CONFIG.format(
        port=port,
        addresses="\n".join(f"ListenAddress {one}" for one in addresses),
        folder=folder,
        user=user,
        environment=" ".join(_quoted(name, environ[name]) for name in HANDED_ON if environ.get(name))
        or '"LANG=C.UTF-8"',
    )
    _write(folder / "sshd_config", text.encode())
    return [sshd, "-D", "-e", "-f", str(folder / "sshd_config")]


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise HostError(
            f"user {os.geteuid()} has no line in /etc/passwd, and sshd lets nobody in without one: run the image's own user"
        ) from None


def _copy(source: Path, target: Path) -> None:
    try:
        _write(target, source.read_bytes())
    except OSError as problem:
        raise HostError(
            f"{source} cannot be read ({problem.strerror}): mount the Secret harness-agent-ssh there, with defaultMode 0440 "
            "and the pod's fsGroup: harness kubernetes secrets makes it"
        ) from None


def _write(file: Path, content: bytes) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)


def _quoted(name: str, value: str) -> str:
    """A word of ``SetEnv``.

    >>> _quoted("A", 'say "x"')
    '"A=say \\\\"x\\\\""'
    """
    if "\n" in value or "\r" in value:
        raise HostError(f"{name} has a line break, which sshd's configuration cannot hold")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}={escaped}"'
