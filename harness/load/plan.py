"""A load file, read and checked: from YAML to a :class:`Plan`, every mistake told with its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from harness.answers import ErrorKind
from harness.errors import ScenarioError
from harness.load.catalogue import USERS, databases_of
from harness.load.policy import RetryPolicy
from harness.load.shapes import Curve, curve
from harness.load.written import LoadPart, LoadWritten, OpenWritten, UserWritten
from harness.scenario.problems import error_of, unknown
from harness.scenario.source import Source, read
from harness.vocabulary import ENGINES, LEVELS, REAL_ENGINE


@dataclass(frozen=True, slots=True)
class Plan:
    """Who does how much of what. ``id`` is the file's name without its suffix."""

    id: str
    file: Path
    written: LoadWritten

    @property
    def load(self) -> LoadPart:
        """Its part that says how."""
        return self.written.load

    @property
    def databases(self) -> tuple[str, ...]:
        """The logical databases that users and checks need."""
        return tuple(dict.fromkeys((*databases_of(self.load.users), *(check.on for check in self.written.checks))))

    @property
    def curve(self) -> Curve:
        """How high the load is over the time."""
        return curve(self.load.shape)

    @property
    def rate(self) -> float | None:
        """Open loop: how many begin in a second at full height; None: the closed loop."""
        arrivals = self.load.arrivals
        return arrivals.open if isinstance(arrivals, OpenWritten) else None

    @property
    def arrivals(self) -> str:
        """In a word, as results have it."""
        return "closed" if self.rate is None else "open"

    @property
    def policy(self) -> RetryPolicy:
        """What users do about refusals."""
        retry = self.load.retry
        return RetryPolicy(retry.tries, retry.first, retry.most, frozenset(ErrorKind(kind) for kind in retry.kinds))

    def changed(
        self, *, users: int | None = None, seconds: float | None = None, arrivals: float | str | None = None
    ) -> Plan:
        """The same with other numbers. ``arrivals``: ``closed``, or a rate. Raises ScenarioError."""
        update: dict[str, object] = {}
        if users is not None:
            update["count"] = users
        if seconds is not None:
            update["seconds"] = seconds
        if arrivals is not None:
            update["arrivals"] = arrivals_of(arrivals)
        load = self.load.model_copy(update=update)
        return replace(self, written=self.written.model_copy(update={"load": load}))

    def to_json(self) -> str:
        """For another process."""
        return f"{self.id}\n{self.file}\n{self.written.model_dump_json(exclude_unset=True)}"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """What :meth:`to_json` gave."""
        name, file, written = text.split("\n", 2)
        return cls(name, Path(file), LoadWritten.model_validate_json(written))


def arrivals_of(said: float | str) -> str | OpenWritten:
    """Arrivals as an option says them: ``closed``, or how many begin in a second. Raises ScenarioError."""
    if said == "closed":
        return "closed"
    try:
        return OpenWritten(open=float(said))
    except (ValueError, ValidationError):
        raise ScenarioError(f"arrivals {said!r}: 'closed', or how many requests begin in a second") from None


def read_load(file: Path) -> Plan:
    """Read and check a load file. Raises ScenarioError: file:line:column, what was wrong, what was meant."""
    source = read(file)
    if not isinstance(source.data, dict):
        raise source.error("a load file is a mapping that begins with 'title:'")
    try:
        written = LoadWritten.model_validate(source.data)
    except ValidationError as invalid:
        raise error_of(source, invalid) from None
    if problems := list(_problems(source, written)):
        first, *others = problems
        raise ScenarioError(first.message + "".join(f"\n{one}" for one in others), first.location)
    return Plan(file.stem, file, written)


def _problems(source: Source, written: LoadWritten) -> Iterator[ScenarioError]:
    for name, user in written.load.users.items():
        if name in USERS:
            yield from _of_user(source, name, user)
        else:
            yield source.error(unknown("kind of user", name, USERS), "load", "users", name)
    engines = {REAL_ENGINE[name] for name in databases_of(name for name in written.load.users if name in USERS)}
    engines |= {"postgresql"} if "sqlserver" in engines else set()  # the stand-in
    for engine in written.expect:
        if engine not in engines:
            yield source.error(
                f"nobody works on {engine} here: the users' databases are on {', '.join(sorted(engines))}",
                "expect",
                engine,
            )


def _of_user(source: Source, name: str, user: UserWritten) -> Iterator[ScenarioError]:
    kind = USERS[name]
    for task in user.tasks:
        if task not in kind.tasks:
            yield source.error(unknown("task", task, kind.tasks, name), "load", "users", name, "tasks", task)
    if user.tasks and not any(user.tasks.values()):
        yield source.error(
            f"{name} does nothing: one of its tasks needs a weight above 0", "load", "users", name, "tasks"
        )
    levels = tuple(dict.fromkeys(level for engine in ENGINES for level in LEVELS[engine] if engine != "redis"))
    if user.level and user.level not in levels:
        yield source.error(unknown("level", user.level, levels, name), "load", "users", name, "level")
