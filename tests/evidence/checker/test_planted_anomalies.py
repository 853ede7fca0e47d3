"""A planted anomaly is found under its name, whatever serial history is around it, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.checker.check import check
from harness.evidence.checker.model import Key, Workload

from .planted import PLANTS, Plant, plant_into
from .simulated import BALANCE, Store

WHERE = {
    "before": st.integers(0, 40),
    "after": st.integers(0, 40),
    "seed": st.integers(0, 10**9),
    "sessions": st.integers(1, 6),
}
NAMES = [
    (workload, name) for workload, plants in PLANTS.items() for name in dict.fromkeys(plant.name for plant in plants)
]


def store_of(workload: Workload, seed: int, sessions: int) -> Store:
    # A counter's increment whose result nobody saw explains any value near it.
    unknown = 0 if workload is Workload.counter else 0.06
    return Store(workload, seed=seed, sessions=sessions, keys=4, unknown=unknown)


@pytest.mark.parametrize(("workload", "name"), NAMES, ids=[f"{workload}-{name}" for workload, name in NAMES])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(**WHERE, data=st.data())
def test_on_objects_of_its_own(
    workload: Workload, name: str, before: int, after: int, seed: int, sessions: int, data: st.DataObject
) -> None:
    plant = data.draw(st.sampled_from([plant for plant in PLANTS[workload] if plant.name == name]))
    store = store_of(workload, seed, sessions)
    keys: dict[str, Key] = {letter: f"planted {letter}" for letter in "ABCD"}
    if workload is Workload.bank:
        for key in keys.values():
            store.initial[key] = store.state[key] = (BALANCE, "initial")
    store.run(before)
    planted = plant_into(store, plant, keys, mixed=True)
    store.run(after)
    _found(store, plant, planted)


@pytest.mark.parametrize(("workload", "name"), NAMES, ids=[f"{workload}-{name}" for workload, name in NAMES])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(**WHERE, data=st.data())
def test_on_objects_that_others_work_on(
    workload: Workload, name: str, before: int, after: int, seed: int, sessions: int, data: st.DataObject
) -> None:
    plant = data.draw(st.sampled_from([plant for plant in PLANTS[workload] if plant.name == name]))
    store = store_of(workload, seed, sessions)
    store.run(before)
    keys = dict(zip("ABCD", data.draw(st.permutations(store.keys)), strict=True))
    planted = plant_into(store, plant, keys)
    store.run(after)
    _found(store, plant, planted)


def _found(store: Store, plant: Plant, planted: list[int]) -> None:
    report = check(store.observed(), realtime=plant.realtime)
    assert plant.name in report.counts, report.counts
    assert set(report.counts) <= {plant.name} | plant.besides, report.counts
    told = next(found for found in report.found if found.name == plant.name)
    assert set(told.transactions) & set(planted)
    if told.cycle:
        assert set(told.transactions) <= set(planted)
