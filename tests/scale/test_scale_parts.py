"""The parts by what was measured: all of them grow, break in order, and have somebody who takes over."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.load.plan import read_load
from harness.scale.measured import Measured, read, write
from harness.scale.model import AXES, Size, first_breaks, judge
from harness.scale.node import NODE, Told
from harness.scale.parts import CRM, needs, server_share, shares
from harness.scale.takeover import known, takes_over
from harness.servers.postgres import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
MEASURED = read()
NEEDS = needs(MEASURED)


def id_of(need):
    return f"{need.part} {need.resource}"


@pytest.mark.parametrize("need", NEEDS, ids=id_of)
def test_more_never_needs_less(need):
    sizes = [Size(10**power, 10 ** (power // 2), 10 ** (power // 2)) for power in range(3, 10)]
    amounts = [need.amount(size) for size in sizes]
    assert amounts == sorted(amounts)
    assert amounts[-1] > amounts[0]


@pytest.mark.parametrize("need", NEEDS, ids=id_of)
def test_what_was_measured_and_where_limits_are_from_is_said(need):
    assert need.measured_by
    assert need.limit_from
    assert need.limit > 0
    assert need.reach, "no range that was measured"
    assert {axis for axis in AXES if need.slope(axis) > 0} <= set(need.reach)


@pytest.mark.parametrize("axis", AXES)
def test_parts_break_one_after_the_other(axis):
    found = first_breaks(NEEDS, axis)
    assert found
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert len({need.part for _, need in found}) == len(found)


def test_connections_end_where_the_servers_setting_says():
    (sales,) = [one for one in NEEDS if id_of(one) == "PromptSales connections"]
    assert sales.limit == int(SETTINGS["max_connections"])
    assert sales.breaks("users") == 428  # 7 of 15 users have one: 428 of them 199.7, 429 of them 200.2


def test_the_mix_is_that_of_the_file():
    users = read_load(ROOT / "scenarios" / "load" / "day.yaml").load.users
    assert MEASURED.day.mix == {name: user.weight for name, user in users.items()}
    assert shares(MEASURED.day.mix) == {CRM: 4 / 15, "PromptAds": 2 / 15, "PromptSales": pytest.approx(7 / 15)}


def test_a_slower_user_needs_less_of_every_processor():
    from harness.scale.node import HABITS

    slower = needs(MEASURED, habits=replace(HABITS, think=Told(20.0, "here")))
    size = Size(users=10_000)
    for quick, slow in zip(NEEDS, slower, strict=True):
        if quick.resource == "processors":
            assert slow.amount(size) == pytest.approx(quick.amount(size) / 2)


def test_a_larger_node_carries_more():
    larger = needs(MEASURED, replace(NODE, disk=Told(NODE.disk.value * 2, "here")))
    (small,), (large,) = ([one for one in found if id_of(one) == "PromptCrm disk"] for found in (NEEDS, larger))
    assert large.limit == 2 * small.limit
    assert large.breaks("clients") > small.breaks("clients")


def test_a_servers_time_is_divided_as_its_users_were_alone():
    assert 0 < server_share(MEASURED) < 1
    assert server_share(MEASURED.model_copy(update={"loading": []})) == 1.0


def test_for_all_that_breaks_somebody_takes_over():
    judged = judge(NEEDS, Size(50_000_000, 100_000, 100_000))
    assert known(judged) == []
    for one in judged:
        text = takes_over(one, Size(50_000_000, 100_000, 100_000))
        assert text
        assert not re.search(r"\{(nodes|shards|need|users|clients|jobs|each|gib)\}", text)


def test_what_was_not_measured_is_told_in_words(tmp_path):
    with pytest.raises(DataError, match=r"seeding: nothing was measured: run benchmarks/scale\.py"):
        needs(Measured(machine=MEASURED.machine))
    with pytest.raises(DataError, match="nothing was measured yet"):
        read(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{", "utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "broken.json")


def test_what_is_written_is_read_again(tmp_path):
    write(MEASURED, tmp_path / "again.json")
    assert read(tmp_path / "again.json") == MEASURED
