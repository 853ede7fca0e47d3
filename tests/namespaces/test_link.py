"""A link can be cut, and it can be slow and lossy, under connections that stay."""

from __future__ import annotations

import hashlib
import itertools
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from polling import eventually

from namespaces import PC, Network
from namespaces.commands import Failed
from namespaces.link import Way

ECHO = """
import socket
datagrams, streams = socket.socket(type=socket.SOCK_DGRAM), socket.create_server(("", 7))
datagrams.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE: what the link does not lose nobody loses
datagrams.bind(("", 7))
print("ready", flush=True)
import threading
def one():
    stream = streams.accept()[0]
    while data := stream.recv(1 << 16):
        stream.sendall(data)
threading.Thread(target=one).start()
while True:
    data, sender = datagrams.recvfrom(100)
    datagrams.sendto(data, sender)
"""
"""Answers datagrams, and one connection, with what they say."""

ONE_WAY = 20
"""Milliseconds. "20 ms latency" may mean there and back together; so much each way is the harder case."""


@contextmanager
def echo(pc: PC) -> Iterator[tuple[str, int]]:
    process = pc.start([sys.executable, "-u", "-c", ECHO])
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield pc.address, 7
    finally:
        pc.kill("ECHO|datagrams.bind")
        process.communicate()


@pytest.fixture(params=["netem", "relay"])
def way(request: pytest.FixtureRequest, mended: Network) -> Way:
    """Both ways to make a link slow; what the kernel has not is skipped, for the other one stands in for it."""
    chosen: Way = request.param
    if chosen == "netem":
        try:
            mended["pc1"].slow(0, 0, "netem").close()
        except Failed as reason:
            if "qdisc kind is unknown" not in str(reason):
                raise
            pytest.skip("this kernel has no netem (CONFIG_NET_SCH_NETEM); what stands in for it, relay.py, is tested")
    return chosen


def round_trips(address: tuple[str, int], count: int, patience: float = 1) -> list[float]:
    """Of so many datagrams, one every millisecond at least, the time in milliseconds of those that were answered.

    When ``patience`` seconds have brought no answer, the rest is lost.
    """
    sent: list[float] = []
    answers: list[float] = []
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.connect(address)
        while len(answers) < count:
            if len(sent) < count:
                sent.append(time.monotonic())
                asking.send((len(sent) - 1).to_bytes(4, "big"))
            asking.settimeout(0.001 if len(sent) < count else patience)
            try:
                number = int.from_bytes(asking.recv(100), "big")
            except TimeoutError:
                if len(sent) < count:
                    continue
                break  # the rest is lost
            answers.append(1000 * (time.monotonic() - sent[number]))
    return answers


def one_by_one(address: tuple[str, int], count: int) -> list[float]:
    """The same, each sent when the one before was answered; a busy machine may take its time."""
    return list(itertools.chain.from_iterable(round_trips(address, 1, 20) for _ in range(count)))


def test_cut_nobody_answers_and_mended_all_goes_on(mended: Network) -> None:
    pc = mended["pc1"]
    with echo(pc) as address, socket.create_connection(address, timeout=20) as connection:
        connection.sendall(b"before")
        assert connection.recv(10) == b"before"
        with pc.cut():
            connection.sendall(b"meanwhile")
            assert not round_trips(address, 5)
            assert mended["pc2"].listening()
        assert connection.recv(10) == b"meanwhile"
        eventually(lambda: round_trips(address, 1), "no answer after it was mended")


def test_a_link_that_is_not_slow_has_nothing_in_between(mended: Network) -> None:
    assert [pc.link.way for pc in mended.pcs] == [None, None]
    with echo(mended["pc1"]) as address:
        assert min(one_by_one(address, 20)) < ONE_WAY


def test_slow_takes_its_time_each_way(mended: Network, way: Way) -> None:
    pc = mended["pc1"]
    with echo(pc) as address:
        with pc.slow(ONE_WAY, way=way):
            assert pc.link.way == way
            times = one_by_one(address, 20)
            assert len(times) == 20
            assert min(times) >= 2 * ONE_WAY
            assert statistics.median(times) < 4 * ONE_WAY
            pc.slow(2 * ONE_WAY)  # as told last
            assert min(one_by_one(address, 5)) >= 4 * ONE_WAY
        assert min(one_by_one(address, 20)) < ONE_WAY


def test_both_slow_the_way_from_pc_to_pc_takes_both(mended: Network) -> None:
    ask = """
import socket, sys, time
with socket.socket(type=socket.SOCK_DGRAM) as asking:
    asking.connect((sys.argv[1], 7))
    asking.settimeout(10)
    began = time.monotonic()
    asking.send(b"x")
    asking.recv(1)
    print(1000 * (time.monotonic() - began))
"""
    with echo(mended["pc2"]), mended["pc1"].slow(ONE_WAY), mended["pc2"].slow(ONE_WAY):
        answer = mended["pc1"].run([sys.executable, "-c", ask, "pc2"])
        assert float(answer.stdout) >= 4 * ONE_WAY, answer.stderr


def test_as_much_is_lost_as_was_said(mended: Network, way: Way) -> None:
    pc = mended["pc1"]
    with echo(pc) as address, pc.slow(1, 10, way):
        answered = len(round_trips(address, 500))
    # 0.9 · 0.9 of 500 are 405, give or take 9; 7 times that is never.
    assert 340 < answered < 470


def test_a_connection_outlives_all_of_it_and_gets_every_byte(mended: Network, way: Way) -> None:
    """Much at once: what is sent in one piece of 64 KiB must come through in pieces that a wire carries."""
    pc = mended["pc1"]
    sent = bytes(range(256)) * 4096
    with echo(pc) as address, socket.create_connection(address, timeout=30) as connection:

        def there_and_back() -> None:
            got = hashlib.sha256()
            for start in range(0, len(sent), 1 << 16):
                connection.sendall(sent[start : start + (1 << 16)])
                left = 1 << 16
                while left:
                    data = connection.recv(left)
                    assert data
                    got.update(data)
                    left -= len(data)
            assert got.digest() == hashlib.sha256(sent).digest()

        there_and_back()
        with pc.slow(2, 0, way):
            there_and_back()
            pc.slow(2, 1)
            connection.sendall(b"x" * 3000)
            assert sum(len(connection.recv(1)) for _ in range(3000)) == 3000
            with pc.cut():
                connection.sendall(b"cut")
            assert connection.recv(3, socket.MSG_WAITALL) == b"cut"
        there_and_back()
