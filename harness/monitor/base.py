"""The seam to the engines: what a sampler measures, what one sample is, and what every engine's module gives.

A sampler hands out what its server says: gauges as they are, and totals that only grow. :mod:`harness.monitor.turning` makes
rates and ratios of totals. So no engine's module divides anything by a time.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol
from urllib.parse import urlsplit

from harness.monitor.series import Measure
from harness.servers.base import Target
from harness.vocabulary import PORTS

MARK = "/* psh monitor */"
"""In every statement of a sampler: by it, they are left out of the top statements."""

SUFFIX = "/monitor"
"""How the names of samplers' connections end: ``psh:RUN/monitor``."""

SECONDS = 5.0
"""How long a sampler waits for an answer, at most."""


class Kind(Enum):
    """What becomes of what a sampler hands out."""

    gauge = "gauge"  # as it is
    rate = "rate"  # of a total: how much a second
    count = "count"  # of a total: how much since the sample before
    share = "share"  # of two totals' growth: 100 * part / (part + rest)
    mean = "mean"  # of two totals' growth: part / rest


@dataclass(frozen=True, slots=True)
class Spec:
    """A column, and how it comes about. ``part`` and ``rest`` name totals; ``part`` is the column's own name if empty."""

    name: str
    unit: str
    kind: Kind = Kind.gauge
    group: str = ""
    about: str = ""
    part: str = ""
    rest: str = ""

    @property
    def measure(self) -> Measure:
        """As it is kept."""
        return Measure(self.name, self.unit, self.group, self.about)

    @property
    def total(self) -> str:
        """The total that it is made of."""
        return self.part or self.name


@dataclass(slots=True)
class Raw:
    """One sample as the server gave it. A gauge or a total that is missing is not known."""

    gauges: dict[str, float] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)  # what for, and how many sessions, now
    wait_totals: dict[str, float] = field(default_factory=dict)  # what for, and seconds of all sessions, ever
    own: dict[str, float] = field(default_factory=dict)  # of totals, what was the sampler's own work; ever
    epoch: str = ""  # another one: the server has been started anew, or its counters were reset


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a server says of a statement, since its counters began."""

    calls: int
    milliseconds: float
    rows: int | None = None


class Sampler(Protocol):
    """A connection that looks at one server. All methods raise :class:`Lost` in one line if it does not answer."""

    @property
    def version(self) -> str:
        """The server's, as it calls itself."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What this server does not let one see, and why; a line each."""
        ...

    def sample(self) -> Raw:
        """Look once."""
        ...

    def statements(self) -> Mapping[str, Numbers]:
        """What the server knows of statements, by a key of its own; nothing if it keeps no account of them."""
        ...

    def texts(self, keys: Sequence[str]) -> Mapping[str, str]:
        """The statements' texts, as the server has them: values may be in them."""
        ...

    def last_notes(self) -> Sequence[str]:
        """What is to be said when all is over. Never raises."""
        ...

    def close(self) -> None:
        """Disconnect; never raises."""
        ...


class Watching(Protocol):
    """An engine, as it is watched."""

    @property
    def specs(self) -> Sequence[Spec]:
        """The columns."""
        ...

    def open(self, url: str, run: str) -> Sampler:
        """Connect, by the name ``psh:RUN/monitor``. Raises Lost."""
        ...

    def enrol(self, url: str, name: str, run: str) -> str:
        """Make a login ``name`` that may look and do nothing else, and give its URL; first remove those of dead runs.

        ``url`` is the login of whoever may make logins. Raises Refused if that cannot be done.
        """
        ...

    def expel(self, url: str, name: str) -> None:
        """Remove that login. Raises Refused."""
        ...


class Lost(Exception):
    """A server does not answer a sampler; the text is one line without passwords."""


class Refused(Exception):
    """A server does not let us make or remove a login; the text is one line without passwords."""


def connection_name(run: str) -> str:
    """What a sampler's connection is called on the server: living runs are found by how it begins."""
    return f"psh:{run}{SUFFIX}"


_OBSERVER = re.compile(r"psh:[^/]*(?:/(?:observer|admin))?")


def is_observer(name: str) -> bool:
    """Whether a connection of this name is one of the harness's own that do no work of a scenario's.

    >>> is_observer("psh:r1/observer"), is_observer("psh:r1"), is_observer("psh:r1/lost_update"), is_observer("shop")
    (True, True, False, False)
    """
    return _OBSERVER.fullmatch(name) is not None


LOGIN = "psh_"


def login_name(run: str, chance: str) -> str:
    """The name of a login that is a sampler's own; ``chance`` keeps two samplers of one run apart.

    >>> login_name("20260101", "a1"), run_of_login("psh_20260101_monitor_a1"), run_of_login("psh_x_1")
    ('psh_20260101_monitor_a1', '20260101', None)
    """
    return f"{LOGIN}{run}_monitor_{chance}"


def run_of_login(name: str) -> str | None:
    """Whose login it is; None if it is no sampler's."""
    run, found, _ = name.removeprefix(LOGIN).partition("_monitor_")
    return run if found and name.startswith(LOGIN) else None


def server_key(target: Target) -> str:
    """One string for one server: two databases on it are watched once."""
    parts = urlsplit(target.url)
    with contextlib.suppress(ValueError):  # several hosts, as MongoDB's URLs may have
        return f"{parts.hostname or 'localhost'}:{parts.port or PORTS[target.engine]}"
    return parts.netloc.rpartition("@")[2]


def one_line(error: BaseException, limit: int = 200) -> str:
    """An error's text in one line."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
