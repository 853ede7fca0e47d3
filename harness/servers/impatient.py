"""HTTP connections that are not held for nothing: whoever opens one and asks nothing loses it.

uvicorn itself waits for a request's head for ever, so that a few hundred connections that say nothing would keep everybody
out (it takes so many and no more). What is being answered is not cut, nor is a body that is on its way; one that
rests between two requests has uvicorn's own time for it.
"""

from __future__ import annotations

from asyncio import Transport
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol


class Impatient(H11Protocol):
    """Closes a connection on which no whole head of a request comes within ``seconds``, or twice that."""

    seconds: ClassVar[float] = 20.0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """See :class:`asyncio.Protocol`."""
        super().connection_made(transport)
        self.loop.call_later(self.seconds, self._look, self.cycle)

    def _look(self, before: Any) -> None:
        if self.transport.is_closing():
            return
        rests = self.timeout_keep_alive_task is not None
        if self.cycle is before and (before is None or (before.response_complete and not rests)):
            self.transport.close()
        else:
            self.loop.call_later(self.seconds, self._look, self.cycle)
