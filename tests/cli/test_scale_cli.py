"""``harness scale``: plain in a pipe, as data, as a picture; numbers that cannot be, in words."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from .conftest import Run


def test_it_says_what_breaks_and_what_takes_over(cli: Run) -> None:
    done = cli("scale")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("50,000,000 clients, 100,000 users, 150 cases")
    for said in (
        "PromptSales",
        "PgBouncer",
        "extrapolated: ",
        "clients, with 1,000 users: ",
        "no engine that takes over was run",
    ):
        assert said in done.stdout


def test_numbers_as_people_write_them(cli: Run) -> None:
    done = cli("scale", "--clients", "50_000", "--users", "100", "--scenarios", "100")
    assert done.stdout.startswith("50,000 clients, 100 users, 100 cases")
    assert "PgBouncer" not in done.stdout  # nothing breaks there


def test_as_data(cli: Run) -> None:
    data = json.loads(cli("scale", "--clients", "5_000_000", "--users", "2000", "--json").stdout)
    assert data["size"] == {"clients": 5_000_000, "users": 2_000, "cases": 150}
    assert data["extrapolated"] is True
    (sales,) = [one for one in data["needs"] if (one["part"], one["resource"]) == ("PromptSales", "connections")]
    assert sales["nodes"] == 5  # 933 of 200
    assert sales["breaks"] == {"clients": None, "users": 428, "cases": None}
    assert "PgBouncer" in sales["takes_over"]
    assert all(one["takes_over"] is None for one in data["needs"] if one["share"] <= 1)
    assert data["told"]["think"]["source"]


def test_a_picture(cli: Run, tmp_path: Path) -> None:
    done = cli("scale", "--picture", "there.svg")
    assert done.returncode == 0, done.stderr
    assert ElementTree.parse(tmp_path / "there.svg").getroot().tag.endswith("svg")


def test_what_cannot_be_is_said_in_a_line(cli: Run) -> None:
    assert "pictures are SVG" in cli("scale", "--picture", "there.png").stderr
    nowhere = cli("scale", "--picture", "no/where.svg")
    assert nowhere.returncode == 1
    assert "cannot be written" in nowhere.stderr
    for name, value, why in (("--clients", "many", "integer"), ("--clients", "0", "1"), ("--users", "-1", "0")):
        refused = cli("scale", name, value)
        assert refused.returncode == 2
        assert f"Invalid value for '{name}'" in refused.stderr
        assert why in refused.stderr
