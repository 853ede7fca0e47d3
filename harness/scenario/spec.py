"""PostgreSQL's isolation specifications (``*.spec``), parsed: what its isolationtester reads.

    spec        = setup* [teardown] session+ permutation*
    setup       = "setup" SQL                teardown = "teardown" SQL
    session     = "session" NAME [setup] step+ [teardown]
    step        = "step" NAME SQL
    permutation = "permutation" entry+
    entry       = NAME ["(" marker ("," marker)* ")"]
    marker      = "*" | NAME | NAME "notices" NUMBER

The order is fixed. Names are checked, too: a :class:`Spec` is one that isolationtester would run. What it means as a
scenario is :mod:`harness.scenario.spec_load`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Location, ScenarioError, did_you_mean
from harness.scenario.problems import unknown
from harness.scenario.spec_text import BLOCK, END, KEYWORDS, NAME, NUMBER, Token, tokens


@dataclass(frozen=True, slots=True)
class Block:
    """SQL between braces, without blanks at its ends; newlines are kept."""

    text: str
    place: Location


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A step of a session."""

    name: str
    place: Location
    block: Block


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """A session: at least one step."""

    name: str
    place: Location
    setup: Block | None
    steps: tuple[StepSpec, ...]
    teardown: Block | None


@dataclass(frozen=True, slots=True)
class Marker:
    """``*`` (no ``step``), ``other`` or ``other notices 3``."""

    step: str
    notices: int | None
    place: Location


@dataclass(frozen=True, slots=True)
class EntrySpec:
    """A step's name in a permutation, and its markers."""

    step: str
    place: Location
    markers: tuple[Marker, ...] = ()


@dataclass(frozen=True, slots=True)
class PermutationSpec:
    """An order of steps: some may be left out, some may stand more than once."""

    place: Location
    entries: tuple[EntrySpec, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """A file. Without ``permutations`` every interleaving is meant."""

    file: Path
    setups: tuple[Block, ...]
    teardown: Block | None
    sessions: tuple[SessionSpec, ...]
    permutations: tuple[PermutationSpec, ...]


def parse(text: str, file: Path) -> Spec:
    """The specification that ``text``, which came from ``file``, says.

    Raises ScenarioError with file:line:column: a character, a word or an order that the language does not have, a
    session without a step, two of one name, a marker or a permutation that names a step which is not there.
    """
    spec = _Parser(tokens(text, file)).spec(file)
    _check(spec)
    return spec


class _Parser:
    """Reads tokens one ahead; each method reads one rule of the grammar."""

    def __init__(self, found: Iterable[Token]) -> None:
        self.rest = iter(found)
        self.next = next(self.rest)

    def spec(self, file: Path) -> Spec:
        setups = []
        while self.next.kind == "setup":
            setups.append(self._block())
        teardown = self._block() if self.next.kind == "teardown" else None
        sessions = []
        while self.next.kind == "session":
            sessions.append(self._session())
        if not sessions:
            raise self._no_session(bool(setups), teardown is not None)
        permutations = []
        while self.next.kind == "permutation":
            permutations.append(self._permutation())
        if self.next.kind != END:
            raise self._out_of_order(sessions[-1], bool(permutations))
        return Spec(file, tuple(setups), teardown, tuple(sessions), tuple(permutations))

    def _session(self) -> SessionSpec:
        self._take()
        name = self._name("session")
        setup = self._block() if self.next.kind == "setup" else None
        steps = []
        while self.next.kind == "step":
            self._take()
            step = self._name("step")
            steps.append(StepSpec(step.text, step.place, self._sql(f"step {step}")))
        if not steps:
            raise self._no_step(name.text, setup is not None)
        teardown = self._block() if self.next.kind == "teardown" else None
        return SessionSpec(name.text, name.place, setup, tuple(steps), teardown)

    def _permutation(self) -> PermutationSpec:
        place = self._take().place
        entries = []
        while self.next.kind == NAME:
            entries.append(self._entry())
        if not entries:
            raise self._unexpected("the name of a step after 'permutation'")
        return PermutationSpec(place, tuple(entries))

    def _entry(self) -> EntrySpec:
        step = self._take()
        markers: list[Marker] = []
        if self.next.kind == "(":
            while not markers or self.next.kind == ",":
                self._take()
                markers.append(self._marker())
            if self.next.kind != ")":
                raise self._unexpected(f"',' or ')' in the markers of {step}")
            self._take()
        return EntrySpec(step.text, step.place, tuple(markers))

    def _marker(self) -> Marker:
        if self.next.kind not in (NAME, "*"):
            raise self._unexpected("a marker: '*', the name of a step, or that and 'notices' and a number")
        token = self._take()
        if token.kind == "*":
            return Marker("", None, token.place)
        notices = None
        if self.next.kind == "notices":
            self._take()
            if self.next.kind != NUMBER:
                raise self._unexpected("a number after 'notices'")
            notices = int(self._take().text)
        return Marker(token.text, notices, token.place)

    # -- tokens

    def _take(self) -> Token:
        taken = self.next
        if taken.kind != END:
            self.next = next(self.rest)
        return taken

    def _name(self, what: str) -> Token:
        if self.next.kind != NAME:
            raise self._unexpected(f"a name after '{what}'")
        return self._take()

    def _block(self) -> Block:
        """``setup`` or ``teardown`` and its SQL."""
        return self._sql(f"'{self._take().kind}'")

    def _sql(self, after: str) -> Block:
        if self.next.kind != BLOCK:
            raise self._unexpected(f"an SQL block, {{ … }}, after {after}")
        token = self._take()
        return Block(token.text, token.place)

    # -- what is wrong

    def _unexpected(self, wanted: str, known: tuple[str, ...] = ()) -> ScenarioError:
        got = self.next
        hint = did_you_mean(got.text, known) if got.kind == NAME and not got.quoted else ""
        if got.kind in KEYWORDS and wanted.startswith(("a name", "the name", "a marker")):
            hint = ": a name that is a word of the language needs double quotes"
        return ScenarioError(f"here should be {wanted}, not {got}{hint}", got.place)

    def _no_session(self, setup: bool, teardown: bool) -> ScenarioError:
        got = self.next
        if got.kind == "setup" and teardown:
            return ScenarioError("'setup' must stand before 'teardown'", got.place)
        if got.kind == "teardown":
            return ScenarioError("a second 'teardown': there can be one, before the sessions", got.place)
        if got.kind == "step":
            return ScenarioError("a step belongs to a session: 'session NAME' must stand before it", got.place)
        if got.kind == "permutation":
            return ScenarioError("a permutation stands after the sessions, and there is none before it", got.place)
        if got.kind == END:
            return ScenarioError("there is no session in this file", got.place)
        choices = ("session",) if teardown else ("setup", "teardown", "session")
        return self._unexpected(" or ".join(map(repr, choices)), choices)

    def _no_step(self, session: str, setup: bool) -> ScenarioError:
        got = self.next
        if got.kind == "setup":
            return ScenarioError(f"a second 'setup' in session {session!r}: a session can have one", got.place)
        if got.kind == "teardown":
            return ScenarioError(f"the teardown of session {session!r} must stand after its steps", got.place)
        if got.kind in ("session", "permutation", END):
            return ScenarioError(f"session {session!r} has no step: 'step NAME {{ SQL }}' is missing", got.place)
        return self._unexpected("'step'" if setup else "'setup' or 'step'", ("setup", "step"))

    def _out_of_order(self, session: SessionSpec, permutations: bool) -> ScenarioError:
        got, name = self.next, session.name
        if permutations and got.kind in ("setup", "teardown", "session", "step"):
            return ScenarioError(f"'{got.kind}' must stand before the permutations", got.place)
        if got.kind == "setup":
            text = f"'setup' must stand before the steps of session {name!r}, or, for all, before the first session"
            return ScenarioError(text, got.place)
        if got.kind == "step":
            return ScenarioError(f"a step of session {name!r} must stand before its teardown", got.place)
        if got.kind == "teardown":
            text = f"a second 'teardown' in session {name!r}: a session can have one; that of all stands before them"
            return ScenarioError(text, got.place)
        if permutations:
            return self._unexpected("the name of a step, or 'permutation'", ("permutation",))
        choices = ("session", "permutation") if session.teardown else ("step", "teardown", "session", "permutation")
        return self._unexpected(" or ".join(map(repr, choices)), choices)


# -- names


def _check(spec: Spec) -> None:
    sessions: dict[str, SessionSpec] = {}
    steps: dict[str, StepSpec] = {}
    owners: dict[str, str] = {}
    for session in spec.sessions:
        if first := sessions.get(session.name):
            text = f"session {session.name!r} stands here a second time (first in line {first.place.line})"
            raise ScenarioError(text, session.place)
        sessions[session.name] = session
        for step in session.steps:
            if twin := steps.get(step.name):
                text = (
                    f"step {step.name!r} is in line {twin.place.line}, session {owners[step.name]!r}, already: "
                    "a step's name must be unique in the file"
                )
                raise ScenarioError(text, step.place)
            steps[step.name], owners[step.name] = step, session.name
    for permutation in spec.permutations:
        for entry in permutation.entries:
            if entry.step not in steps:
                raise ScenarioError(unknown("step", entry.step, steps, "the permutation"), entry.place)
        named = {entry.step: None for entry in permutation.entries}
        for entry in permutation.entries:
            for marker in entry.markers:
                _check_marker(marker, entry, named, owners)


def _check_marker(marker: Marker, entry: EntrySpec, named: dict[str, None], owners: dict[str, str]) -> None:
    if not marker.step:
        return
    if marker.step not in owners:
        raise ScenarioError(unknown("step", marker.step, named, f"the markers of {entry.step!r}"), marker.place)
    if marker.step not in named:
        text = f"step {marker.step!r}, which holds {entry.step!r} back, is not in this permutation"
        raise ScenarioError(text, marker.place)
    if owners[marker.step] == owners[entry.step]:
        text = f"step {entry.step!r} cannot be held back by {marker.step!r} of its own session"
        raise ScenarioError(text, marker.place)
