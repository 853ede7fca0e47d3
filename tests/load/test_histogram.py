from __future__ import annotations

import json

import numpy as np
import pytest

from harness.load.histogram import Histogram


def histogram(*values: float) -> Histogram:
    made = Histogram()
    made.add_many(np.array(values, dtype=float))
    return made


def test_an_empty_one_knows_nothing():
    made = histogram()
    assert (made.count, made.mean, made.percentile(50)) == (0, 0.0, None)
    assert Histogram.from_json(made.to_json()).percentile(99) is None


@pytest.mark.parametrize("percent", [1, 25, 50, 75, 90, 99, 99.9, 100])
def test_percentiles_are_right_to_a_hundredth(percent):
    values = np.random.default_rng(7).lognormal(-6, 2, 20_000)
    made = Histogram()
    for part in np.array_split(values, 13):
        made.add_many(part)
    exact = 1000 * float(np.sort(values)[round(20_000 * percent / 100) - 1])  # nearest rank
    assert made.percentile(percent) == pytest.approx(exact, rel=0.01)


def test_what_must_be_exact_is():
    made = histogram(0.0031, 0.0007, 0.25)
    assert made.count == 3
    assert made.mean == pytest.approx(1000 * (0.0031 + 0.0007 + 0.25) / 3)
    assert made.percentile(0) == pytest.approx(0.7, rel=0.01)
    assert made.percentile(100) == pytest.approx(250)


def test_percentiles_never_leave_what_was_measured():
    made = histogram(0.00100001)
    assert made.percentile(50) == pytest.approx(1.00001, rel=1e-9)


def test_nothing_is_faster_than_the_clock():
    made = histogram(0.0, -1e-9)
    assert made.count == 2
    assert made.percentile(50) == 0.0


def test_merging_is_the_same_as_counting_together():
    one, other, both = histogram(0.001, 0.02), histogram(0.003, 4.0), histogram(0.001, 0.02, 0.003, 4.0)
    one.merge(other)
    assert one.to_json() == both.to_json()


def test_merging_an_empty_one_changes_nothing():
    one = histogram(0.001)
    one.merge(Histogram())
    assert one.to_json() == histogram(0.001).to_json()


def test_it_travels():
    made = histogram(0.001, 0.5, 0.5)
    there = Histogram.from_json(json.loads(json.dumps(made.to_json())))
    assert there.to_json() == made.to_json()
    assert there.percentile(99) == made.percentile(99)
