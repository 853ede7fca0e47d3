"""What is sampled, for Prometheus: ``http://127.0.0.1:PORT/metrics``, only if somebody asks for it.

    promptsales_<measure>{database="promptads",engine="postgresql",stand_in="sqlserver"}

A rate or a count is a counter (``…_total``), as Prometheus wants it; everything else is a gauge. Units are its base units:
bytes, seconds, ratios of 1. A server that holds two databases has one series, named after the first.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.errors import ServerError
from harness.monitor.base import Kind, Spec
from harness.monitor.thread import Watched, WatchedServer
from harness.monitor.turning import Row
from harness.servers.base import is_loopback

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX = "promptsales"
LABELS = ("database", "engine", "stand_in")
_UNITS = {
    "MB": ("_bytes", 1e6),
    "MB/s": ("_bytes", 1e6),
    "%": ("_ratio", 0.01),
    "ms": ("_seconds", 1e-3),
    "s": ("_seconds", 1.0),
}


def address(text: str) -> tuple[str, int]:
    """``[ADDRESS:]PORT``; loopback if there is no address. Raises ServerError.

    >>> address("9187"), address("0.0.0.0:9187"), address("[::1]:9187")
    (('127.0.0.1', 9187), ('0.0.0.0', 9187), ('::1', 9187))
    """
    host, _, port = text.strip().rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ServerError(f"--prometheus {text}: that is no port; write PORT or ADDRESS:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


class Exporter:
    """Holds the newest sample of each series; a collector of prometheus_client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[Watched, Row]] = {}
        self._totals: dict[str, dict[str, float]] = {}
        self._server: Any = None
        self.url = ""

    def __call__(self, watched: Watched, row: Row) -> None:
        """A row was taken."""
        with self._lock:
            self._rows[watched.series.name] = (watched, row)
            totals = self._totals.setdefault(watched.series.name, {})
            for name, grown in row.grown.items():
                totals[name] = totals.get(name, 0.0) + grown

    def start(self, where: str) -> None:
        """Answer at ``[ADDRESS:]PORT``. Raises ServerError: the port is taken, or the address not ours."""
        from prometheus_client import CollectorRegistry, start_http_server

        host, port = address(where)
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server, _ = start_http_server(port, host, registry)
        except OSError as error:
            why = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise ServerError(f"--prometheus {where}: {why}; choose another one") from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}/metrics"
        if not is_loopback(host):
            self.url += " (whoever reaches this address can read it: it asks for no password)"

    def collect(self) -> Iterator[Metric]:
        """All metrics, as prometheus_client wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with self._lock:
            rows, totals = dict(self._rows), {name: dict(one) for name, one in self._totals.items()}
        made: dict[str, Any] = {}

        def add(name: str, about: str, labels: dict[str, str], value: float, kind: Any = GaugeMetricFamily) -> None:
            if name not in made:
                made[name] = kind(f"{PREFIX}_{name}", about, labels=list(labels))
            made[name].add_metric(list(labels.values()), value)

        for series, (watched, row) in rows.items():
            labels = _labels(watched)
            known = any(value is not None for value in row.values.values())
            add("up", "Whether the last sample was had.", labels, float(known))
            for spec in watched.specs:
                name, factor, counted = metric(spec)
                value = totals[series].get(spec.name) if counted else row.values.get(spec.name)
                if value is not None:
                    kind = CounterMetricFamily if counted else GaugeMetricFamily
                    add(name, _about(spec), labels, value * factor, kind)
            for wait, sessions in row.waits.items():
                add("wait_sessions", "Sessions that wait, by what for.", labels | {"wait": wait}, sessions)
            cost = watched.cost()
            add("sample_seconds", "What one sample takes, the median.", labels, cost.milliseconds / 1000)
        yield from made.values()

    def stop(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def metric(spec: Spec) -> tuple[str, float, bool]:
    """A column's metric: its name without the prefix, what its value is multiplied by, whether it is a counter.

    >>> metric(Spec("transactions", "1/s", Kind.rate)), metric(Spec("memory", "MB"))
    (('transactions', 1.0, True), ('memory_bytes', 1000000.0, False))
    """
    ending, factor = _UNITS.get(spec.unit, ("", 1.0))
    return f"{spec.name}{ending}", factor, spec.kind in (Kind.rate, Kind.count)


def _about(spec: Spec) -> str:
    words = spec.name.replace("_", " ")
    return f"{words}: {spec.about}." if spec.about else f"{words}."


def _labels(watched: Watched) -> dict[str, str]:
    stand_in = watched.target.stand_in if isinstance(watched, WatchedServer) else ""
    return dict(zip(LABELS, (watched.series.name, watched.series.engine, stand_in), strict=True))
