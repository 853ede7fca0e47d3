"""The expectations of a file: engines × levels, each name in them known, each value computable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import ScenarioError
from harness.scenario.expressions import Expression
from harness.scenario.model import Expectation
from harness.scenario.problems import unknown
from harness.scenario.reading import Reading, levels_known
from harness.scenario.sessions import Cast
from harness.scenario.source import Keys
from harness.scenario.wanted import committed_name, comparison
from harness.scenario.written_expect import ANY, COUNTS, ExpectationWritten
from harness.vocabulary import Phenomenon

ByEngine = dict[str, dict[str, Expectation]]


def expectations(
    reading: Reading, cast: Cast, written: Mapping[str, Mapping[str, ExpectationWritten]], path: Keys
) -> ByEngine:
    """Engine → level (or ``any``) → expectation. Raises ScenarioError."""
    made: ByEngine = {}
    for engine, by_level in written.items():
        known = (ANY, *levels_known(engine))
        of_engine = made.setdefault(engine, {})
        for levels, expectation in by_level.items():
            at = (*path, engine, levels)
            if at not in reading.source.places:  # no level is named there: the expectation is the engine's
                at = (*path, engine)
            if expectation.output is not None and engine != "postgresql":
                text = f"expect.output says nothing here: isolationtester runs on PostgreSQL, not on {engine}"
                raise reading.error(text, *at, "output")
            resolved = _Expected(reading, cast, at).resolve(expectation)
            for level in (name.strip() for name in levels.split(",")):
                if level not in known:
                    raise reading.error(unknown("level", level, known, engine) + _or_key(level), *at)
                if level in of_engine:
                    raise reading.error(f"{engine} at {level!r} is expected twice: say it once", *at)
                of_engine[level] = resolved
    return made


def _or_key(level: str) -> str:
    keys = ", ".join(ExpectationWritten.model_fields)
    return "" if "," in level or " " in level else f"; the keys of an expectation are {keys}"


class _Expected:
    """One expectation, at its place."""

    def __init__(self, reading: Reading, cast: Cast, path: Keys) -> None:
        self.reading = reading
        self.cast = cast
        self.path = path
        self.steps = cast.steps
        self.sessions = [session.name for session in cast.sessions]

    def resolve(self, written: ExpectationWritten) -> Expectation:
        """Parameters filled in, every name looked up."""
        self._check_mode(written)
        victim = str(self.reading.fill(written.victim or "", *self.path, "victim"))
        if victim and victim not in self.sessions:
            raise self.reading.unknown("session", victim, self.sessions, "expect.victim", *self.path, "victim")
        return Expectation(
            finds=tuple(Phenomenon(name) for name in written.finds),
            allows=tuple(Phenomenon(name) for name in written.allows),
            victim=victim,
            errors=self._named(written.errors, "errors", "step", self.steps),
            blocks=None if written.blocks is None else tuple(self._blocked(written.blocks)),
            sees=self._values(written.sees, "sees", "step", self.steps),
            final=self._values(written.final, "final", "item", self.reading.written.items),
            counts=self._values(written.counts, "counts", "count", COUNTS),
            output=None if written.output is None else tuple(written.output),
            may_refuse=tuple(written.may_refuse),
            holds=tuple(self._holding(written.holds)),
        )

    def _check_mode(self, written: ExpectationWritten) -> None:
        free = self.reading.written.free_running is not None
        wrong = ("victim", "errors", "may_refuse", "blocks", "sees", "output") if free else ("counts",)
        for key in wrong:
            if getattr(written, key):
                why = "a free run's steps run many times: say it in counts" if free else "only a free run counts"
                raise self.reading.error(f"expect.{key} says nothing here: {why}", *self.path, key)

    def _blocked(self, names: list[str]) -> list[str]:
        made: list[str] = []
        for number, name in enumerate(names):
            steps = self.cast.steps_called(str(self.reading.fill(name, *self.path, "blocks")))
            if not steps:
                raise self.reading.unknown("step", name, self.cast.names, "expect.blocks", *self.path, "blocks", number)
            made += steps
        return made

    def _named(self, written: Mapping[str, Any], key: str, what: str, known: Any) -> dict[str, Any]:
        """Steps of copied sessions may be named with a parameter: ``want_${n}``."""
        made = {}
        for name, value in written.items():
            at = (*self.path, key, name)
            full = str(self.reading.fill(name, *at))
            if full not in known:
                raise self.reading.unknown(what, full, known, f"expect.{key}", *at)
            made[full] = value
        return made

    def _values(self, written: Mapping[str, Any], key: str, what: str, known: Any) -> dict[str, Any]:
        made = self._named(written, key, what, known)
        for name, value in zip(list(made), written, strict=True):
            at = (*self.path, key, value)
            made[name] = self.reading.fill(made[name], *at)
            self._check_relation(made[name], at)
        return made

    def _check_relation(self, wanted: Any, path: Keys) -> None:
        """The right side of ``"< …"`` is computed when the run has ended: now only its names can be looked up.

        They are what came out of the run. Parameters are filled in by ``${…}`` here, so that a stored expectation needs
        nothing but the history to be judged again.
        """
        relation = comparison(wanted)
        if relation is None:
            return
        _, right = relation
        self._check_names(wanted, right, self._outcome(), path)

    def _outcome(self) -> list[str]:
        """The names of what came out of a run."""
        items = self.reading.written.items
        known = [*items, *(f"initial_{item}" for item in items)]
        if self.reading.written.free_running is not None:
            known += [name.replace(" ", "_") for name in COUNTS]
        return known

    def _check_names(self, wanted: str, expression: Expression, known: list[str], path: Keys) -> None:
        try:
            names = expression.names()
        except ScenarioError as error:
            said = error.message if wanted == expression.source else f"{wanted!r}: {error.message}"
            raise self.reading.error(f"{said} ('equals' is ==)" if "=" in expression.source else said, *path) from None
        for name in sorted(names - set(known)):
            if name in self.reading.parameters:
                raise self.reading.error(f"{wanted!r}: write the parameter as ${{{name}}}", *path)
            raise self.reading.error(f"{wanted!r}: " + unknown("name", name, known), *path)

    def _holding(self, written: list[str]) -> Iterator[str]:
        """Parameters are filled in; names are those of the end, and who committed."""
        known = self._outcome()
        if self.reading.written.free_running is None:
            known += [committed_name(session) for session in self.sessions]
        for number, text in enumerate(written):
            at = (*self.path, "holds", number)
            full = str(self.reading.fill(text, *at))
            if comparison(full):
                raise self.reading.error(f"{full!r} lacks its left side: say '{known[0] if known else 1} {full}'", *at)
            self._check_names(full, Expression(full), known, at)
            yield full
