"""A stand-in for `tc netem`: a process that hands Ethernet frames from one interface to another, later, and not all of them.

    python relay.py NEAR FAR           until its input ends; each line of it: MILLISECONDS LOSS_PERCENT, each way
    python relay.py --offload NAME on|off

Needs nothing but Python. Both interfaces are ends of veth pairs. Such a pair passes on what a network card would finish:
packets without checksums, up to 64 KiB at once. So who sends into the relay must do that itself (`--offload NAME off`).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import sys
import time
from collections import deque

ETH_P_ALL = 3
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
FRAME = 1 << 17
BURST = 64
"""So many frames at a time from one side, then it is looked which are due."""


def offload(name: str, on: bool) -> None:
    """Whether an interface of this network namespace leaves checksums (and with them, cutting up) to its card."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, on))
    request = struct.pack("16sP", name.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, request)


def listen(name: str) -> socket.socket:
    """All frames that arrive at an interface, and none that leave it."""
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    frames.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    for buffer in SO_RCVBUFFORCE, SO_SNDBUFFORCE:
        frames.setsockopt(socket.SOL_SOCKET, buffer, 1 << 23)
    frames.bind((name, ETH_P_ALL))
    frames.setblocking(False)
    return frames


def relay(near: str, far: str) -> None:
    """Hand on until the input ends; what is under way then is handed on at once."""
    sides = listen(near), listen(far)
    other = {sides[0]: sides[1], sides[1]: sides[0]}
    control = sys.stdin.fileno()
    chance = random.Random(20)  # the same losses every time, as far as the same frames come
    delay = loss = 0.0
    waiting: deque[tuple[float, socket.socket, bytes]] = deque()
    print("ready", flush=True)
    while True:
        due = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready = select.select([*sides, control], [], [], due)[0]
        if control in ready:
            line = os.read(control, 100).decode()
            if not line:
                break
            delay, loss = (float(word) for word in line.splitlines()[-1].split())
            delay, loss = delay / 1000, loss / 100
            print("set", flush=True)
        for side in sides:
            if side in ready:
                with contextlib.suppress(OSError):  # no more of them, or the interface is down
                    for _ in range(BURST):
                        frame = side.recv(FRAME)
                        if chance.random() >= loss:
                            waiting.append((time.monotonic() + delay, other[side], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            hand_on(waiting.popleft())
    for item in waiting:
        hand_on(item)


def hand_on(item: tuple[float, socket.socket, bytes]) -> None:
    """Send it; a link that is down loses it, as any link would."""
    with contextlib.suppress(OSError):
        item[1].send(item[2])


if __name__ == "__main__":
    if sys.argv[1] == "--offload":
        offload(sys.argv[2], sys.argv[3] == "on")
    else:
        relay(*sys.argv[1:3])
