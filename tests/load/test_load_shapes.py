"""Curves: heights over the time, the season of the seeded sales among them."""

from __future__ import annotations

import pytest

from fixtures.seed.calendar import MONTH, PEAK
from harness.load.shapes import curve
from harness.load.written import RampWritten, ShapeWritten


def test_steady_is_all_of_it_all_the_time():
    steady = curve("steady")
    assert steady.steady
    assert [steady.at(part) for part in (0, 0.3, 1)] == [1, 1, 1]


def test_a_ramp_goes_straight_up_and_stays():
    ramp = curve(ShapeWritten(ramp=RampWritten(start=0.2, until=0.5)))
    assert [round(ramp.at(part), 3) for part in (0, 0.25, 0.5, 0.9, 1)] == [0.2, 0.6, 1, 1, 1]
    assert not ramp.steady
    whole = curve(ShapeWritten(ramp=RampWritten(start=0)))
    assert [whole.at(part) for part in (0, 0.5, 1)] == [0, 0.5, 1]


def test_steps_are_equally_long():
    steps = curve(ShapeWritten(steps=[0.25, 1, 0.5]))
    assert [steps.at(part) for part in (0, 0.33, 0.34, 0.66, 0.67, 1)] == [0.25, 0.25, 1, 1, 0.5, 0.5]
    assert [steps.users(10, part) for part in (0, 0.5, 0.9)] == [2, 10, 5]
    assert curve(ShapeWritten(steps=[0])).users(10, 0.5) == 1  # nobody is no load


def test_the_december_peak_is_the_season_of_the_seeded_sales():
    season = curve("december peak")
    month = [season.at((number + 0.5) / 12) for number in range(12)]  # July to June
    assert max(month) <= 1
    assert min(month[5:8]) > 0.97  # December, January, and the plan's further month, February
    quiet = min(month)
    assert quiet == pytest.approx(min(MONTH[1:]) / PEAK, abs=0.02)
    assert month[9] < 0.4  # April


def test_the_rate_of_the_open_loop_follows_it():
    rate = curve(ShapeWritten(steps=[0.5, 1])).rate(100, seconds=4)
    assert [rate(moment) for moment in (0, 1.9, 2.1, 4)] == [50, 50, 100, 100]
