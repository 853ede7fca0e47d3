"""Round after round: when, what is said, what is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from harness.errors import EtlError, HarnessError, ServerError, ServerUnavailable
from harness.etl import serve
from harness.etl.model import Round
from harness.etl.run import Launched, NoRound, UnderWay
from harness.etl.serve import LATEST, SOONEST, Serving, WrongOption, period

pytestmark = pytest.mark.etl


@dataclass
class Clock:
    """PromptSales and time, both made by hand: a round is due when none was begun in the slot."""

    now: float = 1.0
    begun: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)
    takes: float = 2.0
    away: list[HarnessError] = field(default_factory=list)  # what looking into the log raises, the first times
    troubles: list[HarnessError] = field(default_factory=list)  # what launching raises, the first times

    def due(self, every: float) -> bool:
        return not any(at >= self.now // every * every for at in self.begun)

    def until_due(self, every: float) -> float:
        return (self.now // every + 1) * every - self.now

    def launch(self) -> Launched:
        if self.troubles:
            raise self.troubles.pop(0)
        self.begun.append(self.now)
        self.now += self.takes
        return Launched(Round(len(self.begun), ()), self.takes, 0, (), ())

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.paused.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()

    @contextmanager
    def open_log(url: str) -> Iterator[Clock]:
        assert url == "postgresql://x"
        if made.away:
            raise made.away.pop(0)
        yield made

    monkeypatch.setattr(serve, "open_log", open_log)
    return made


@pytest.fixture
def serving(clock: Clock) -> Callable[..., Serving]:
    def make(every: float = 660.0) -> Serving:
        return Serving(
            lambda: "postgresql://x",
            clock.launch,
            lambda launched: clock.told.append(launched.round.number),
            clock.said.append,
            every,
            clock.pause,
        )

    return make


def test_on_the_grid_and_no_drift(clock: Clock, serving: Callable[..., Serving]) -> None:
    assert serving().rounds(4) == 0
    assert clock.begun == [1.0, 660.0, 1320.0, 1980.0]
    assert clock.told == [1, 2, 3, 4]
    assert max(clock.paused) <= LATEST
    assert clock.said == []


def test_a_missed_one_at_once_and_only_once(clock: Clock, serving: Callable[..., Serving]) -> None:
    clock.takes = 1500  # longer than two slots
    serving().rounds(1)
    clock.takes = 2
    serving().rounds(2)
    assert clock.begun == [1.0, 1501.0, 1980.0]


def test_what_somebody_else_ran_is_not_run_again(clock: Clock, serving: Callable[..., Serving]) -> None:
    clock.begun.append(0.5)
    serving().rounds(1)
    assert clock.begun == [0.5, 660.0]


def test_promptsales_away_is_said_once_and_tried_again(clock: Clock, serving: Callable[..., Serving]) -> None:
    clock.away = [ServerError("promptsales does not answer") for _ in range(5)]
    serving().rounds(2)
    assert clock.said == ["promptsales does not answer; trying again", "all is there again"]
    assert clock.paused[:5] == [SOONEST, SOONEST * 2, SOONEST * 4, SOONEST * 8, LATEST]
    assert clock.told == [1, 2]


def test_two_problems_are_said_each(clock: Clock, serving: Callable[..., Serving]) -> None:
    clock.away = [ServerError("a"), ServerUnavailable("b"), ServerError("a")]
    serving().rounds(1)
    assert clock.said == ["a; trying again", "b; trying again", "a; trying again", "all is there again"]


@pytest.mark.parametrize("error", [UnderWay("round 7 is under way"), EtlError("no Java")])
def test_a_round_that_could_not_be_begun_is_tried_again(
    clock: Clock, serving: Callable[..., Serving], error: HarnessError
) -> None:
    clock.troubles = [error, error]
    serving().rounds(1)
    assert clock.said == [f"{error}; trying again", "all is there again"]
    assert clock.begun == [1.0 + SOONEST * 3]


def test_hops_log_is_another_one_each_time_but_the_problem_is_not(
    clock: Clock, serving: Callable[..., Serving]
) -> None:
    from pathlib import Path

    clock.troubles = [NoRound("Hop ended with code 1: no such driver", Path(f"/logs/{n}")) for n in range(3)]
    serving().rounds(1)
    assert len(clock.said) == 2
    assert "/logs/0" in clock.said[0]


def test_short_periods_are_not_waited_over(clock: Clock, serving: Callable[..., Serving]) -> None:
    clock.troubles = [EtlError("x")] * 4
    serving(2.0).rounds(1)
    assert clock.paused == [2.0] * 4


def test_an_interrupt_ends_it(clock: Clock, serving: Callable[..., Serving]) -> None:
    made = serving()

    def pause(seconds: float) -> None:
        raise KeyboardInterrupt

    made.pause = pause
    with pytest.raises(KeyboardInterrupt):
        made.rounds()
    assert clock.told == [1]


def test_failed_rounds_are_counted(
    clock: Clock, serving: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Round, "succeeded", property(lambda self: self.number != 2))
    assert serving().rounds(3) == 1
    assert clock.told == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("11m", 660.0), ("90s", 90.0), ("0.5s", 0.5), ("1h", 3600.0), ("660", 660.0), (" 2 m ", 120.0)],
)
def test_periods(text: str, seconds: float) -> None:
    assert period(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "11d", "m", "-5s", "1e3", "0s"])
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(WrongOption, match="seconds, minutes or hours"):
        period(text)
