"""The cable between a PC and the switch: it can be pulled, and it can be bad."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Literal

from namespaces.commands import Failed, Refused, call, program
from namespaces.keeper import Keeper, end, start

Way = Literal["netem", "relay"]

RELAY = [sys.executable, "-I", "-S", str(Path(__file__).with_name("relay.py"))]


class Link:
    """The veth pair between a port of the switch, called as the PC is, and the PC's `eth0`."""

    def __init__(self, switch: Keeper, pc: Keeper, name: str) -> None:
        self.switch = switch
        self.pc = pc
        self.name = name
        self.way: Way | None = None
        self.relay: subprocess.Popen[str] | None = None

    def plug(self) -> None:
        """Lay the cable. No address of its own on the switch's end: it only passes frames on."""
        self.switch.links(
            f"link add {self.name} type veth peer name eth0 netns {self.pc.process.pid}",
            f"link set {self.name} master switch addrgenmode none up",
        )

    def cut(self) -> None:
        """Pull it out of the switch: what is sent from now on goes nowhere, and nobody is told."""
        self.switch.links(f"link set {self.name} down")

    def mend(self) -> None:
        """Plug it in again."""
        self.switch.links(f"link set {self.name} up")

    def slow(self, milliseconds: float, loss_percent: float, way: Way | None = None) -> None:
        """Delay and lose what goes over it, each way: by the kernel's netem, or by `relay.py` where the kernel has none."""
        if self.way is None or (way and way != self.way):
            self.fast()
            self.way = self._lay(way)
        if self.way == "netem":
            self._netem(milliseconds, loss_percent)
        else:
            self._set(milliseconds, loss_percent)

    def fast(self) -> None:
        """As it was laid."""
        if self.relay:
            end(self.relay)
            self.relay = None
            self.switch.links(f"link del {self.name}-far", f"link set {self.name} master switch")
        for argv in self._ends() if self.way == "netem" else ():
            call([*argv[:-1], "qdisc", "del", "dev", argv[-1], "root"])
        if self.way:
            self._offload(True)
        self.way = None

    def _lay(self, way: Way | None) -> Way:
        """Make it a link that can be slow, and say by what."""
        if way != "relay":
            try:
                self._netem(0, 0)
            except (Failed, Refused):
                if way:
                    raise
            else:
                self._offload(False)
                return "netem"
        self._offload(False)
        self._divert()
        return "relay"

    def _ends(self) -> list[list[str]]:
        tc = program("tc")
        return [[*self.switch.inside("net"), tc, self.name], [*self.pc.inside("net"), tc, "eth0"]]

    def _netem(self, milliseconds: float, loss_percent: float) -> None:
        how = ["delay", f"{milliseconds}ms", "loss", f"{loss_percent}%", "limit", "100000"]
        for argv in self._ends():
            call([*argv[:-1], "qdisc", "replace", "dev", argv[-1], "root", "netem", *how])

    def _offload(self, on: bool) -> None:
        """Whether the PC sends in pieces that no wire could carry."""
        call([*self.pc.inside("net"), *RELAY, "--offload", "eth0", "on" if on else "off"])

    def _divert(self) -> None:
        """Have the relay between the PC's port and another port of the switch; addresses and connections stay."""
        port, far, near = self.name, f"{self.name}-far", f"{self.name}-port"
        self.switch.links(
            f"link add {far} type veth peer name {near}",
            f"link set {far} addrgenmode none up",
            f"link set {near} addrgenmode none master switch",
        )
        call([*self.switch.inside("net"), *RELAY, "--offload", near, "off"])
        self.relay = start([*self.switch.inside("net"), *RELAY, port, far])
        self._answer("ready")
        self.switch.links(f"link set {port} nomaster", f"link set {near} up")

    def _set(self, milliseconds: float, loss_percent: float) -> None:
        assert self.relay is not None
        assert self.relay.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer is then missing too
            self.relay.stdin.write(f"{milliseconds} {loss_percent}\n")
            self.relay.stdin.flush()
        self._answer("set")

    def _answer(self, wanted: str) -> None:
        assert self.relay is not None
        assert self.relay.stdout is not None
        said = self.relay.stdout.readline().strip()
        if said != wanted:
            raise Failed(f"the relay of {self.name} ended with {self.relay.wait()}")
