from __future__ import annotations

from itertools import pairwise

import pytest

from harness.load.arrivals import Arrivals


def starts(arrivals: Arrivals) -> list[float]:
    made = []
    while (at := arrivals.next()) is not None:
        made.append(at)
    return made


def test_an_even_rate_gives_even_gaps():
    made = starts(Arrivals(lambda _: 100, began=50.0, seconds=2.0, poisson=False))
    assert len(made) in (199, 200)
    assert made[0] == pytest.approx(50.01)
    assert all(after - before == pytest.approx(0.01) for before, after in pairwise(made))


def test_drawn_gaps_come_to_the_same_rate_and_are_not_even():
    made = starts(Arrivals(lambda _: 1000, began=0.0, seconds=20.0))
    assert len(made) == pytest.approx(20_000, rel=0.05)
    gaps = [after - before for before, after in pairwise(made)]
    assert min(gaps) < 0.0002 < 0.004 < max(gaps)


def test_the_same_seed_draws_the_same_starts():
    one, same, other = (starts(Arrivals(lambda _: 50, 0.0, 2.0, seed=seed)) for seed in (3, 3, 4))
    assert one == same != other


def test_a_rate_that_grows_is_followed():
    made = starts(Arrivals(lambda at: 100 * at, began=0.0, seconds=4.0, poisson=False))
    assert len(made) == pytest.approx(800, rel=0.02)  # the integral of 100·t
    assert sum(at < 2.0 for at in made) == pytest.approx(200, rel=0.02)


@pytest.mark.parametrize("rate", [0.0, -5.0])
def test_no_rate_no_start(rate):
    assert starts(Arrivals(lambda _: rate, 0.0, 1.0)) == []


def test_a_pause_in_the_rate_is_a_pause():
    made = starts(Arrivals(lambda at: 0 if 1 <= at < 2 else 100, began=0.0, seconds=3.0, poisson=False))
    assert len(made) == pytest.approx(200, abs=3)
    assert not [at for at in made if 1.02 < at < 2.0]


def test_starts_never_go_back_and_none_is_after_the_end():
    made = starts(Arrivals(lambda _: 10_000, began=5.0, seconds=0.5))
    assert made == sorted(made)
    assert made[-1] < 5.5


def test_what_nobody_took_is_counted():
    arrivals = Arrivals(lambda _: 100, 0.0, 1.0, poisson=False)
    for _ in range(30):
        arrivals.next()
    assert arrivals.given == 30
    assert arrivals.left() in (69, 70)
    assert arrivals.next() is None
