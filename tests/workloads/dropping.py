"""A way to a PostgreSQL server that loses the answer to a COMMIT: a proxy that closes the connection instead."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_COMMIT = b"COMMIT\x00"


class Dropping:
    """Hands over everything, but for the ``numbers``-th answers to COMMIT, counted from 1 over all connections."""

    def __init__(self, url: str, numbers: set[int], *, deliver: bool = True) -> None:
        parts = urlsplit(url)
        self._there = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._numbers = numbers
        self._deliver = deliver  # whether the server gets to hear of the COMMIT
        self._lock = threading.Lock()
        self.commits = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        self.url = urlunsplit(parts._replace(netloc=f"{login}127.0.0.1:{port}"))

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._there)
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                silent = threading.Event()
                for source, target, asks in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._hand_over, args=(source, target, silent, asks), daemon=True).start()

    def _hand_over(self, source: socket.socket, target: socket.socket, silent: threading.Event, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asks and data.endswith(_COMMIT) and self._is_chosen():
                    silent.set()
                    if not self._deliver:
                        break
                if not asks and silent.is_set():
                    break  # the server has answered: it is committed
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _is_chosen(self) -> bool:
        with self._lock:
            self.commits += 1
            return self.commits in self._numbers
