"""A switch, a controller and PCs: what two PCs on a desk are to the tests.

    the controller (here)  psh-X-Y 10.X.Y.1 ──┐
                                            switch (a namespace that only passes frames on)
    pc1 (namespaces)       eth0    10.X.Y.2 ──┤
    pc2 (namespaces)       eth0    10.X.Y.3 ──┘

Of all this only one interface is seen in the controller's own network, and its other end lies in the switch: when the switch
goes, so does it. The PCs have no way to anywhere else.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from polling import eventually

from namespaces.commands import Failed, Refused, call, missing, program
from namespaces.keeper import Keeper
from namespaces.pc import PC
from namespaces.ssh import make_key, privilege_separation, write_client

SWITCH = """ip link add switch type bridge; ip link set switch addrgenmode none up"""


class Network:
    """PCs called pc1, pc2, …, there until `close`, or until this process ends, however it ends.

    `address` is the controller's, where the PCs reach a server; `environment`, `bin` or `ssh_config` make `ssh pc1` work;
    `folder` holds all files.
    Raises `Refused` where it cannot be, with the reason.
    """

    def __init__(self, count: int = 2) -> None:
        reason = missing()
        if reason:
            raise Refused(reason)
        self.folder = Path(tempfile.mkdtemp(prefix="pcs-"))
        self.folder.chmod(0o755)  # a PC's sshd separates its privileges
        self.pcs: list[PC] = []
        try:
            self._make(count)
        except BaseException:
            self.close()
            raise

    def _make(self, count: int) -> None:
        # Once the pipe breaks nobody else is there to remove the files. Twice, for what is still ending may write some more.
        after = """trap 'rm -rf "$1" || rm -rf "$1"' EXIT"""
        self.switch = Keeper(["--net"], f"{SWITCH}; {after}", str(self.folder))
        self._lock, self.subnet = reserve()
        hosts = [str(host) for host in itertools.islice(self.subnet.hosts(), count + 1)]
        self.address = hosts[0]
        self.interface = "psh-" + "-".join(self.address.split(".")[1:3])
        names = {"localhost": "127.0.0.1", "controller": self.address}
        names |= {f"pc{number}": host for number, host in enumerate(hosts[1:], 1)}
        table = "".join(f"{address} {name}\n" for name, address in names.items())
        key = self.folder / "key"
        make_key(key)
        servers = {}
        for name in itertools.islice(names, 2, None):
            pc = PC(name, names[name], self.folder / name)
            servers[name] = names[name], pc.furnish(key, table)
            self.pcs.append(pc)
        self.ssh_config = write_client(self.folder, key, servers)
        self.bin = self.folder / "bin"
        self.switch.ready()
        self._plug_controller()
        privilege_separation()
        for pc in self.pcs:
            pc.keeper.ready()
            pc.plug(self.switch, self.subnet.prefixlen)
            pc.start_sshd()
        for pc in self.pcs:
            eventually(pc.listening, f"{pc.name}'s sshd does not answer")

    def _plug_controller(self) -> None:
        lines = (
            f"link add {self.interface} type veth peer name controller netns {self.switch.process.pid}",
            f"addr add {self.address}/{self.subnet.prefixlen} dev {self.interface}",
            f"link set {self.interface} addrgenmode none up",
        )
        call([program("ip"), "-batch", "-"], "\n".join(lines) + "\n")
        self.switch.links("link set controller master switch addrgenmode none up")

    def __getitem__(self, name: str) -> PC:
        return next(pc for pc in self.pcs if pc.name == name)

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a program finds the `ssh` that knows the PCs."""
        return os.environ | {"PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}"}

    def restore(self) -> None:
        """All links whole, all sshd listening."""
        for pc in self.pcs:
            pc.restore()

    def close(self) -> None:
        """End and remove all of it."""
        for pc in self.pcs:
            pc.close()
        if hasattr(self, "switch"):
            if hasattr(self, "interface"):
                with suppress(Failed, Refused):  # it goes with the switch, but not at once
                    call([program("ip"), "link", "del", self.interface])
            self.switch.close()
        if hasattr(self, "_lock"):
            self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def reserve() -> tuple[socket.socket, ipaddress.IPv4Network]:
    """A network of 254 addresses that is nobody's, and what keeps its like from taking it while this process lives.

    That is a socket with an abstract name: the kernel has one such name once in a network namespace, which is where
    addresses must differ, and takes it back from whoever ends.
    """
    taken = routes()
    for subnet in candidates(os.getpid()):
        if any(subnet.overlaps(other) for other in taken):
            continue
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0pcs {subnet}")
        except OSError:
            lock.close()
        else:
            return lock, subnet
    raise Refused("no free network in 10.200.0.0/13 or 198.18.0.0/15 on this machine: remove a route to one of them")


def candidates(seed: int) -> Iterator[ipaddress.IPv4Network]:
    """Private networks first, then those set aside for measurements; where to begin depends on the process."""
    for whole in "10.200.0.0/13", "198.18.0.0/15":
        subnets = list(ipaddress.IPv4Network(whole).subnets(new_prefix=24))
        start = seed % len(subnets)
        yield from subnets[start:] + subnets[:start]


def routes() -> list[ipaddress.IPv4Network]:
    """Where this machine has a way to, addresses of its own included, but for the way to everywhere else."""
    said = call([program("ip"), "-j", "-4", "route", "show", "table", "all"])
    found = {route["dst"] for route in json.loads(said)} - {"default"}
    try:
        return [ipaddress.IPv4Network(text) for text in found]
    except ValueError as wrong:
        raise Failed(f"ip route: {wrong}") from None
