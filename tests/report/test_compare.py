from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.evidence.model import Evidence, Status
from harness.plans.model import Timing
from harness.report.compare import Change, Differences, compare, previous
from harness.report.page import numbers

from .beside import HOSTILE, kept_run, load_result, pair, two_runs
from .samples import cascade, dirty_read, hidden, lost_update, run_of
from .test_page import Page

AT = "[promptsales@postgresql-read_committed]"


def judged(one: Evidence, status: Status, summary: str = "as expected") -> Evidence:
    return one.model_copy(update={"verdict": one.verdict.model_copy(update={"status": status, "summary": summary})})


def of(made: Differences, kind: str) -> list[Change]:
    return [change for change in made.changes if change.kind == kind]


def test_the_same_run_twice_has_no_difference(tmp_path: Path) -> None:
    evidences, more = [cascade(), hidden()], {"loads": [load_result()], "pairs": [pair()]}
    made = compare(kept_run(tmp_path, "1", evidences, **more), kept_run(tmp_path, "2", evidences, **more))
    assert made.changes == []
    assert made.same == 2


def test_verdicts_that_got_worse_come_first(tmp_path: Path) -> None:
    old = kept_run(tmp_path, "1", [judged(lost_update(), Status.passed), judged(hidden(), Status.failed), cascade()])
    new = kept_run(tmp_path, "2", [lost_update(), hidden(), dirty_read()])
    made = compare(old, new, numbers(run_of([]), []) | {f"lost_update{AT}": 1})
    assert [(c.what.partition("[")[0], c.kind, c.worse) for c in made.changes] == [
        ("lost_update", "verdict", True),
        ("two_host_deadlock", "verdict", False),
        ("cascade_deadlock", "gone", None),
        ("dirty_read", "new", None),
    ]
    assert made.changes[0].after.startswith("failed: lost update (P4) found")
    assert made.changes[0].link == "#case-1"
    assert (made.worse, made.better) == (1, 1)


def test_a_new_case_that_does_not_pass_is_worse(tmp_path: Path) -> None:
    made = compare(kept_run(tmp_path, "1", [cascade()]), kept_run(tmp_path, "2", [cascade(), lost_update()]))
    assert [(c.kind, c.worse) for c in made.changes] == [("new", True)]


def test_what_was_found_and_the_level_observed_are_told(tmp_path: Path) -> None:
    one = lost_update()
    fine = one.model_copy(update={"verdict": one.verdict.model_copy(update={"anomalies": []})})
    sessions = [s.model_copy(update={"observed_levels": {"sales": "serializable"}}) for s in one.history.sessions]
    other = one.model_copy(update={"history": one.history.model_copy(update={"sessions": sessions})})
    made = compare(kept_run(tmp_path, "1", [fine]), kept_run(tmp_path, "2", [other]))
    assert [(c.kind, c.before, c.after, c.worse) for c in made.changes] == [
        ("found", "nothing", "lost update", None),
        ("level observed", "read committed", "serializable", None),
    ]


def with_seconds(folder: Path, *seconds: float) -> Path:
    run = json.loads((folder / "run.json").read_text())
    first = run["cases"][0]
    run["cases"] = [first | {"id": f"c{i}", "seconds": s} for i, s in enumerate(seconds)]
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_a_time_counts_only_if_it_stands_out_from_all(tmp_path: Path) -> None:
    calm = [0.2, 0.21, 0.19, 0.2, 0.22, 0.2, 0.18, 0.2]
    old = with_seconds(kept_run(tmp_path, "1", [cascade()]), *calm)
    # A slower machine: all of them take twice as long, and one ten times.
    new = with_seconds(kept_run(tmp_path, "2", [cascade()]), *[2 * s for s in calm[:-1]], 10 * calm[-1])
    made = compare(old, new)
    (change,) = of(made, "time")
    assert (change.what, change.worse) == ("c7", None)
    assert "×2.0" in made.notes[0]
    assert "each measured once" in made.notes[0]


def test_small_times_and_few_cases_prove_nothing(tmp_path: Path) -> None:
    old = with_seconds(kept_run(tmp_path, "1", [cascade()]), 0.001, 0.001, 0.001, 0.001, 0.001, 0.001)
    new = with_seconds(kept_run(tmp_path, "2", [cascade()]), 0.001, 0.001, 0.001, 0.001, 0.001, 0.03)
    assert of(compare(old, new), "time") == []
    few = with_seconds(kept_run(tmp_path, "3", [cascade()]), 0.1, 9.0)
    assert of(compare(few, with_seconds(kept_run(tmp_path, "4", [cascade()]), 0.1, 0.1)), "time") == []


# -- plans and load


def plans_of(tmp_path: Path, one: Any, other: Any) -> Differences:
    return compare(kept_run(tmp_path, "1", [], pairs=[one]), kept_run(tmp_path, "2", [], pairs=[other]))


def test_a_plan_that_scans_again_is_worse_and_one_that_seeks_better(tmp_path: Path) -> None:
    (shape,) = of(plans_of(tmp_path, pair(), pair(backwards=True)), "plan's shape")
    assert shape.what.endswith(", after")
    assert (shape.before, shape.after, shape.worse) == ("seek: Nested Loop", "scan: Hash Join", True)
    (shape,) = of(plans_of(tmp_path / "other", pair(backwards=True), pair()), "plan's shape")
    assert shape.worse is False


def test_a_pair_that_fails_is_worse(tmp_path: Path) -> None:
    made = plans_of(tmp_path, pair(), pair(status="failed"))
    assert [(c.kind, c.worse) for c in made.changes] == [("verdict", True)]


def test_times_of_plans_count_if_no_run_overlaps(tmp_path: Path) -> None:
    one = pair()

    def timed(median: float, least: float, most: float) -> Any:
        timing = Timing(runs=7, median=median, least=least, most=most)
        return one.model_copy(update={"after": one.after.model_copy(update={"timing": timing})})

    assert of(plans_of(tmp_path / "a", one, timed(3.0, 1.8, 4.0)), "time") == []
    (change,) = of(plans_of(tmp_path / "b", one, timed(3.0, 2.8, 4.0)), "time")
    assert change.worse is None
    assert change.after == "3 ms (2.8 to 4)"


def loads_of(tmp_path: Path, one: Any, other: Any) -> Differences:
    return compare(kept_run(tmp_path, "1", [], loads=[one]), kept_run(tmp_path, "2", [], loads=[other]))


def test_load_that_is_slower_step_beside_step_is_worse(tmp_path: Path) -> None:
    made = loads_of(tmp_path, load_result(), load_result(rate=300, slow=1.8))
    (rate,) = of(made, "throughput")
    assert (rate.worse, rate.after.endswith("(-25%)")) == (True, True)
    times = of(made, "response time")
    assert len(times) == 5
    assert all(change.worse for change in times)
    assert "p99" in times[0].before
    back = loads_of(tmp_path / "back", load_result(rate=300, slow=1.8), load_result())
    assert back.worse == 0
    assert back.better == 6


def test_load_that_only_scatters_is_as_before(tmp_path: Path) -> None:
    one, other = load_result(), load_result("june")  # the same, drawn by another chance
    made = loads_of(tmp_path, one, other.model_copy(update={"name": one.name}))
    assert of(made, "throughput") == []
    assert of(made, "response time") == []


def test_a_load_run_that_is_too_short_proves_nothing(tmp_path: Path) -> None:
    made = loads_of(tmp_path, load_result(seconds=6), load_result(seconds=6, rate=40, slow=9))
    assert made.changes == []


def test_requests_given_up_count_if_there_are_enough_of_them(tmp_path: Path) -> None:
    def failing(count: int) -> Any:
        made = load_result()
        kind = made.requests[0].model_copy(update={"done": 1000 - count, "failed": {"deadlock": count}})
        return made.model_copy(update={"requests": [kind, *made.requests[1:]]})

    assert of(loads_of(tmp_path / "a", failing(10), failing(25)), "given up") == []
    (change,) = of(loads_of(tmp_path / "b", failing(10), failing(90)), "given up")
    assert (change.before, change.after, change.worse) == ("1 % of 1,000", "9 % of 1,000", True)


# -- the run before, the command, the page


def test_the_run_before_is_the_one_with_the_next_lower_id(tmp_path: Path) -> None:
    first, second, third = (kept_run(tmp_path, run, [cascade()]) for run in ("20260101a", "20260102b", "20260103c"))
    (tmp_path / "20260102z").mkdir()  # a run that was cut off before it had kept anything
    assert previous(third) == second
    assert previous(second) == first
    assert previous(first) is None


def test_the_command_says_what_is_worse_and_exits_with_1(tmp_path: Path) -> None:
    new = two_runs(tmp_path)
    page = tmp_path / "differences.html"
    ran = CliRunner().invoke(
        app, ["compare", "20260725103106aaaa", "latest", "--results", str(tmp_path), "--html", str(page)]
    )
    assert ran.exit_code == 1
    assert ran.output.splitlines()[0] == "20260725103106aaaa → 20260726103106bbbb"
    assert "9 worse, 0 better, 3 otherwise different; 12 cases as before" in ran.output
    html = page.read_text("utf-8")
    parsed = Page(html)
    assert parsed.open == []
    assert "script" not in parsed.tags
    assert parsed.links == []  # its cases are on another page
    assert "9 worse" in " ".join(parsed.text)
    same = CliRunner().invoke(app, ["compare", str(new), str(new)])
    assert (same.exit_code, "0 worse" in same.output) == (0, True)


def test_without_a_name_it_is_the_latest_beside_the_one_before(tmp_path: Path) -> None:
    kept_run(tmp_path, "20260101a", [cascade()])
    alone = CliRunner().invoke(app, ["compare", "--results", str(tmp_path)])
    assert alone.exit_code == 0
    assert "20260101a is the first run" in alone.output
    kept_run(tmp_path, "20260102b", [cascade(), lost_update()])
    two = CliRunner().invoke(app, ["compare", "--results", str(tmp_path)])
    assert two.exit_code == 1
    assert two.output.startswith("20260101a → 20260102b")


def test_a_run_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["compare", "no", "latest", "--results", str(tmp_path)])
    assert ran.exit_code != 0
    assert "no run 'latest'" in str(ran.exception)
    kept_run(tmp_path, "1", [cascade()])
    ran = CliRunner().invoke(app, ["compare", "no", "latest", "--results", str(tmp_path)])
    assert "no run 'no'" in str(ran.exception)


@pytest.mark.parametrize("text", ["{", '{"cases": [1]}', '{"cases": [{"id": "x"}]}'])
def test_a_run_before_that_cannot_be_read_costs_no_report(tmp_path: Path, text: str) -> None:
    before = kept_run(tmp_path, "1", [cascade()])
    (before / "run.json").write_text(text)
    after = kept_run(tmp_path, "2", [cascade()])
    said = " ".join(Page((after / "report.html").read_text("utf-8")).text)
    assert "run.json cannot be read" in said
    assert "A cascade deadlock" in said


@pytest.mark.parametrize("file", ["plans/x/plans.json", "load/x/load.json", "monitor/x.json"])
def test_what_cannot_be_read_beside_the_cases_costs_no_report(tmp_path: Path, file: str) -> None:
    folder = kept_run(tmp_path, "1", [cascade()])
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text("[1")
    ran = CliRunner().invoke(app, ["report", str(folder)])
    assert ran.exit_code == 0, ran.exception
    said = " ".join(Page((folder / "report.html").read_text("utf-8")).text)
    assert "cannot be read" in said
    assert "A cascade deadlock" in said


def test_hostile_ids_stay_texts(tmp_path: Path) -> None:
    old = kept_run(tmp_path, "1", [cascade()])
    new = Path(shutil.copytree(old, tmp_path / "2"))
    run = json.loads((new / "run.json").read_text())
    run["cases"][0] |= {"id": HOSTILE, "status": "failed", "summary": HOSTILE}
    (new / "run.json").write_text(json.dumps(run))
    page = tmp_path / "d.html"
    ran = CliRunner().invoke(app, ["compare", str(old), str(new), "--html", str(page)])
    assert ran.exit_code == 1
    assert "\x1b" not in ran.output
    html = page.read_text("utf-8")
    assert "<img" not in html
    assert "<script" not in html
    assert "\x1b" not in html
