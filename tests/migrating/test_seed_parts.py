"""Clients made in parts: every one of them by exactly one part, and wrong combinations are told in words."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from fixtures.seed import plan_of
from fixtures.seed.run import check_range, part_of
from harness.cli import app
from harness.errors import DataError


@pytest.mark.parametrize("clients", [1, 199, 200, 201, 1_000, 1_001, 4_150])
@pytest.mark.parametrize("parts", [1, 2, 3, 7, 10, 100])
def test_every_client_is_in_one_part(clients: int, parts: int) -> None:
    plan = plan_of("tiny", clients=clients)
    made: list[int] = []
    for part in range(parts):
        within = part_of(plan, parts, part)
        check_range(plan, within, ["promptcrm", "promptsales"])  # it begins and ends between families
        if within is not None:
            made += range(within[0], within[1] + 1)
    assert made == list(range(1, clients + 1))


def test_parts_are_counted_from_nought() -> None:
    with pytest.raises(DataError, match="part 10 of 10: they are counted from 0 to 9"):
        part_of(plan_of("tiny"), 10, 10)


@pytest.mark.parametrize(
    ("words", "index", "said"),
    [
        (("--parts", "3"), None, "--parts says of how many, --part which one"),
        (("--part", "1"), None, "of how many? give --parts"),
        ((), "1", "of how many? give --parts"),
        (("--parts", "3", "--part", "0", "--range", "1:200"), None, "give --range or --parts, not both"),
        (("--parts", "3"), "3", "part 3 of 3"),
        (("--parts", "3", "--part", "0", "--only", "promptads"), None, "parts of the clients"),
    ],
)
def test_wrong_combinations(words: tuple[str, ...], index: str | None, said: str) -> None:
    done = CliRunner().invoke(app, ["seed", "tiny", *words], env={"JOB_COMPLETION_INDEX": index})
    assert isinstance(done.exception, DataError)
    assert said in str(done.exception)
