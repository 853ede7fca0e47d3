"""What logins have in common whose maker comes back by itself: made, kept and dropped by one thread at a time."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from types import TracebackType

from harness.errors import ServerError


class KeptLogin(ABC):
    """The login ``name`` with the rights of ``group``, as a context that gives its URL. ``url`` works once it is made."""

    def __init__(self, url: str, name: str, group: str) -> None:
        self.url = url
        self._name, self._group = name, group
        self._one_at_a_time = threading.Lock()
        self._over = False

    def __repr__(self) -> str:
        return f"<login {self._name} of {self._group}>"

    def __enter__(self) -> str:
        with self._one_at_a_time:
            try:
                self._keep()
            except ServerError:
                self._let_go()
                raise
        return self.url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._one_at_a_time:
            self._over = True
            # A lost connection comes back by itself. What cannot be dropped is swept by the next.
            with contextlib.suppress(ServerError), self._said():
                self._drop()
            self._let_go()

    def keep(self) -> None:
        """Connect again if that was lost, make the user again if it is gone. Raises LoginRefused, ServerError."""
        with self._one_at_a_time:
            if not self._over:
                self._keep()

    @abstractmethod
    def _keep(self) -> None: ...

    @abstractmethod
    def _drop(self) -> None: ...

    @abstractmethod
    def _let_go(self) -> None:
        """Close the maker's connection, if there is one."""

    @abstractmethod
    def _said(self) -> AbstractContextManager[None]:
        """The server's errors as ours."""
