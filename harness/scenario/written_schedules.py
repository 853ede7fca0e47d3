"""The schedules of a scenario file, as people write them: listed step by step, or made by the harness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from harness.scenario.forms import Written, many_or_mapping, one_of
from harness.scenario.problems import shown
from harness.scenario.written_expect import Expect

WORDS = ("all", "reduced")
"""Kinds of made schedules that need no more than their name."""


class HoldWritten(Written):
    """What holds the ending of an entry's step back, although it may be there: another session's running step."""

    until: str = Field(description="the step: nothing is held back unless it is running")
    notices: int | None = Field(
        default=None, ge=0, description="only until its session has sent so many notices since this entry was begun"
    )


def _hold(value: Any) -> Any:
    if value == "*":
        return HoldWritten(until="")
    if not isinstance(value, Mapping):
        raise ValueError(f"a hold is '*', {{until: step}} or {{until: step, notices: 3}}, not {shown(value)}")  # noqa: TRY004
    if value.get("until") == "":
        raise ValueError("until names no step: '*' holds an ending back once")
    return value


Hold = Annotated[HoldWritten, BeforeValidator(_hold, json_schema_input_type=Literal["*"] | HoldWritten)]
"""``until`` is empty for ``*``: held back once."""


class ClaimWritten(Written):
    """What a schedule's entry claims of its step, at every level; and, in a strict one, what holds its ending back."""

    blocks: bool | None = None
    until: str | None = Field(default=None, description="completes only after this step has completed")
    hold: Annotated[
        list[Hold],
        BeforeValidator(many_or_mapping, json_schema_input_type=Literal["*"] | HoldWritten | list[Hold]),
    ] = Field(default=[], description="strict schedules: '*' is once, at the first look; {until: step, notices: 3}")


def _claim(value: Any) -> Any:
    if isinstance(value, str):
        word = one_of("claim", ("blocks", "runs", "does not block"))(value)
        return {"blocks": word == "blocks"}
    return value


Claim = Annotated[
    ClaimWritten,
    BeforeValidator(_claim, json_schema_input_type=Literal["blocks", "runs", "does not block"] | ClaimWritten),
]


def _entry(value: Any) -> Any:
    if isinstance(value, str):
        return {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"an entry is one step's name, or 'step: blocks', not {shown(value)}")
    return value


Entry = Annotated[
    dict[str, Claim],
    BeforeValidator(
        _entry, json_schema_input_type=str | Annotated[dict[str, Claim], Field(min_length=1, max_length=1)]
    ),
]
"""One step's name and its claim."""

EMPTY_SCHEDULE = (
    "the schedule is empty: list the steps in the order in which they run, "
    "or say 'schedule: all' (every order), 'reduced', or '{random: 100}'"
)


def _not_empty(value: Any) -> Any:
    if value == []:
        raise ValueError(EMPTY_SCHEDULE)
    return value


Entries = Annotated[list[Entry], BeforeValidator(_not_empty), Field(min_length=1)]


# -- made ones


class DrawWritten(Written):
    """N interleavings drawn at random; the same seed draws the same ones."""

    count: int = Field(ge=1, le=10_000)
    seed: int = 1


def _draw(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {"count": value}


class RandomWritten(Written):
    """Interleavings drawn at random: ``{random: {count: 50, seed: 1}}``, or ``{random: 50, seed: 1}``."""

    random: Annotated[
        DrawWritten,
        BeforeValidator(_draw, json_schema_input_type=Annotated[int, Field(ge=1, le=10_000)] | DrawWritten),
    ]
    seed: int | None = None

    @model_validator(mode="after")
    def _one_seed(self) -> RandomWritten:
        if self.seed is not None and "seed" in self.random.model_fields_set:
            raise ValueError("the seed stands here twice: say {random: {count: 50, seed: 1}}")
        return self


class AllWritten(Written):
    """Every interleaving, each one kept to the letter."""

    all: Annotated[str, AfterValidator(one_of("form", ("strict",))), Field(json_schema_extra={"enum": ["strict"]})]


class ScheduleWritten(Written):
    """One interleaving with a name of its own."""

    steps: Entries
    strict: bool = Field(
        default=False,
        description="wait where a session is still blocked, instead of letting the other sessions go on; "
        "steps may stand in any order, and more than once",
    )
    expect: Expect = Field(default={}, description="in place of the scenario's expectation")


MadeWritten = str | AllWritten | RandomWritten

_FORMS = "a list of steps, all, reduced, or {random: 100}"
_Word = Annotated[Literal["all", "reduced"], Tag("(word)")]
_All = Annotated[AllWritten, Tag("(all)")]
_Random = Annotated[RandomWritten, Tag("(random)")]


# -- schedule:


def _form(value: Any) -> Any:
    if isinstance(value, str):
        return one_of("schedule", WORDS)(value)
    if not isinstance(value, list | dict):
        raise ValueError(f"a schedule is {_FORMS}, not {shown(value)}")  # noqa: TRY004
    return value


def _kind_of_form(value: Any) -> str:
    if isinstance(value, str | list):
        return "(word)" if isinstance(value, str) else "(entries)"
    return "(all)" if "all" in value else "(random)"


Schedule = Annotated[
    _Word | _All | _Random | Annotated[Entries, Tag("(entries)")],
    Discriminator(_kind_of_form),
    BeforeValidator(_form),
]
"""The only schedule, or all of them, if they are made."""


# -- schedules:


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return {"steps": value}
    if isinstance(value, Mapping) and "count" in value and not value.keys() & ScheduleWritten.model_fields.keys():
        raise ValueError("drawn at random? Then say {random: {count: 50, seed: 1}}")
    return _form(value)


def _kind_of_named(value: Any) -> str:
    if isinstance(value, str):
        return "(word)"
    if value.keys() & ScheduleWritten.model_fields.keys():
        return "(listed)"
    return next((f"({key})" for key in ("all", "random") if key in value), "(listed)")


def _schedule_name(value: str) -> str:
    if not value.replace("-", "_").isidentifier():
        raise ValueError(f"{value!r} is no name for a schedule (it is part of the case's id): letters, digits, - and _")
    return value


_Name = Annotated[str, AfterValidator(_schedule_name)]
_Named = Annotated[
    _Word | _All | _Random | Annotated[ScheduleWritten, Tag("(listed)")],
    Discriminator(_kind_of_named),
    BeforeValidator(
        _named,
        json_schema_input_type=list[Entry]
        | ScheduleWritten
        | Literal["all", "reduced"]
        | AllWritten
        | RandomWritten
        | DrawWritten,
    ),
]


def _set(value: Any) -> Any:
    """Widens a whole set: ``all``, ``reduced``, ``{random: …}``, ``{all: strict}``. A list called random is a listed one."""
    if isinstance(value, str):
        return {one_of("set of schedules", WORDS)(value): value}
    if not isinstance(value, dict):
        raise ValueError(f"schedules are a mapping (name: {_FORMS}), all or reduced, not {shown(value)}")  # noqa: TRY004
    if value == {"all": "strict"}:
        return {"all": value}
    drawn = value.get("random")
    if isinstance(drawn, int) and value.keys() <= {"random", "seed"}:
        return {"random": value}
    own = {*ScheduleWritten.model_fields, "all", "random"}
    if isinstance(drawn, Mapping) and not drawn.keys() & own:
        return value | {"random": {"random": drawn}}
    return value


Schedules = Annotated[
    dict[_Name, _Named],
    BeforeValidator(
        _set, json_schema_input_type=Literal["all", "reduced"] | AllWritten | RandomWritten | dict[_Name, _Named]
    ),
]
"""Several schedules, by name."""
