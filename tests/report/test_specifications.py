"""Permutations by the hundred: listed by their lines, told in full only where they did not pass."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli import app
from harness.evidence import store as store_module
from harness.evidence.model import Evidence, Status
from harness.evidence.store import MOST_TOLD, Store, in_full, read_evidence, read_run
from harness.report import cases as cases_module
from harness.report.page import report_html
from harness.report.specifications import draw_missing, drawn, separated, specifications
from harness.report.text import run_renderable
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg

from .samples import cascade, lost_update, many_steps
from .test_page import OWN, Page

MANY = 500
FAILING = (7, 300)
NASTY = 'we<b>ird & "so"'


def permutation(
    name: str, number: int, *, failing: bool = False, of: Evidence | None = None, file: str = ""
) -> Evidence:
    """A specification's permutation, as its run leaves it."""
    made = of or many_steps(2, 2)
    schedule = f"p{number:03}"
    history = made.history.model_copy(
        update={
            "case": f"{name}[promptsales@postgresql-default-{schedule}]",
            "scenario": name,
            "title": name,
            "file": file or f"specs/{name}.spec",
            "schedule": schedule,
            "level": "default",
            "engine": "postgresql",
            "databases": cascade().history.databases,
        }
    )
    update: dict[str, Any] = {"status": Status.passed, "summary": "prints what was expected", "mismatches": []}
    if failing:
        said = f"prints something else\n- what {name} should\n+ what it did in {schedule}"
        update = {"status": Status.failed, "summary": "prints something else", "mismatches": [said]}
    verdict = made.verdict.model_copy(update=update)
    return made.model_copy(update={"history": history, "expectation": {"output": ["…"]}, "verdict": verdict})


def kept(root: Path, evidences: list[Evidence], *, pictured: bool = False) -> Path:
    """A run of them that has ended."""
    store = Store(root, "r1")
    store.open()
    for one in evidences:
        pictures = pictured or one.verdict.status is not Status.passed
        drawings = {"timeline.svg": timeline_svg(one), "waits.svg": waits_svg(one)} if pictures else {}
        store.keep(one, drawings, 0.01)
    store.close({"seconds": 2.5})
    return store.folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two specifications of many permutations, of which two fail, and an ordinary case."""
    evidences = [permutation("big", number, failing=number in FAILING) for number in range(MANY - 1)]
    deadlock = permutation("dead", 1, of=cascade())
    folder = kept(tmp_path_factory.mktemp("many"), [*evidences, lost_update()])
    store = Store(folder.parent, folder.name)
    store.keep(deadlock, {"timeline.svg": timeline_svg(deadlock), "waits.svg": waits_svg(deadlock)}, 0.2)
    line = json.loads(next(folder.glob(".cases-*")).read_text())
    run = json.loads((folder / "run.json").read_text())
    run["cases"].append(line)
    (folder / "run.json").write_text(json.dumps(run))
    next(folder.glob(".cases-*")).unlink()
    return folder


def begin_of(evidence: Evidence) -> str:
    """What the names of its files begin with, seen from the run's folder."""
    scenario, _, where = evidence.history.case.partition("[")
    where = where.removesuffix(f"-{evidence.history.schedule}]")
    return f"{store_module.folder_name(f'{scenario}[{where}]')}/{evidence.history.schedule}."


def text_of(html: str) -> str:
    return " ".join(" ".join(Page(html).text).split())


def test_only_what_is_told_is_read_and_drawn(many: Path) -> None:
    with (
        patch.object(store_module, "read_evidence", wraps=read_evidence) as reads,
        patch.object(cases_module, "timeline_svg", wraps=timeline_svg) as draws,
    ):
        run, evidences = read_run(many, permutations=False)
        html = report_html(run, evidences)
    # Those that failed, the ordinary case, and one that says where all of them ran.
    assert reads.call_count == len(evidences) == len(FAILING) + 2
    assert draws.call_count == len(FAILING) + 1
    assert len(html) < 400 * MANY + 150_000
    assert len(read_run(many)[1]) == MANY + 1


@pytest.mark.parametrize("harm", ["gone", "broken"])
def test_evidence_of_those_that_passed_is_not_needed(many: Path, tmp_path: Path, harm: str) -> None:
    folder = Path(shutil.copytree(many, tmp_path / "r1"))
    before = report_html(*read_run(folder, permutations=False))
    for line in json.loads((folder / "run.json").read_text())["cases"]:
        if line.get("permutation") and line["status"] == "passed":
            file = folder / f"{store_module.prefix(line)}evidence.json"
            file.unlink() if harm == "gone" else file.write_text("{")
    after = report_html(*read_run(folder, permutations=False))
    assert after.partition("<h2>")[2] == before.partition("<h2>")[2]


def test_the_page_lists_them(many: Path) -> None:
    html = report_html(*read_run(many, permutations=False))
    page, text = Page(html), text_of(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    for said in (
        f"2.5 s, 1 case, {MANY} permutations of 2 specifications",
        f"✓ {MANY - 2} passed ✗ 3 failed",  # the ordinary case is one of them
        f"big ✓ {MANY - 3} passed ✗ 2 failed 4.99 s",
        "dead ✓ 1 passed 1 waited 1 deadlock 0.20 s",
        "p006 ✓ prints what was expected 0.010 evidence p007 ✗ prints something else 0.010 timeline waits evidence",
    ):
        assert said in text, said


def test_links_lead_to_files_of_the_run(many: Path) -> None:
    links = [link for link in Page(report_html(*read_run(many, permutations=False))).links if link[0] != "#"]
    # Each permutation's evidence, pictures of those that have some; evidence again of the three that are told in full.
    assert len(links) == MANY + 2 * (len(FAILING) + 1) + len(FAILING) + 1
    assert all((many / link).is_file() for link in links)
    assert "dead@promptsales-postgresql-default/p001.waits.svg" in links


def test_those_that_did_not_pass_are_told_in_full(many: Path) -> None:
    html = report_html(*read_run(many, permutations=False))
    text = text_of(html)
    assert html.count("<article") == len(FAILING) + 1
    assert html.count('class="psh"') == 2 * (len(FAILING) + 1)
    for number in FAILING:
        assert f"big, permutation p{number:03}" in text
        assert f"+ what it did in p{number:03}" in text
    assert "did not pass; the specifications above" not in text


def test_the_matrix_is_of_ordinary_cases(many: Path, tmp_path: Path) -> None:
    html = report_html(*read_run(many, permutations=False))
    matrix = html[html.index("Which isolation") : html.index("Specifications</h2>")]
    assert "lost_update" in matrix
    assert "big" not in matrix
    alone = report_html(*read_run(kept(tmp_path, [permutation("one", 1)]), permutations=False))
    assert "Which isolation" not in alone
    assert "No case ran." not in alone
    assert "<h2>Cases" not in alone
    assert "promptsales@postgresql" in alone  # where it ran


def test_of_many_failing_ones_some_of_each_file_are_told(tmp_path: Path) -> None:
    evidences = [permutation("all", number, failing=True) for number in range(60)]
    evidences += [permutation("few", number, failing=True) for number in range(3)]
    folder = kept(tmp_path, evidences)
    run, read = read_run(folder, permutations=False)
    told = [line["permutation"]["schedule"] for line in in_full(run["cases"]) if line["title"] == "few"]
    assert told == ["p000", "p001", "p002"]
    assert [line["title"] for line in in_full(run["cases"])] == ["all"] * 37 + ["few"] * 3
    assert MOST_TOLD <= len(read) <= MOST_TOLD + 1
    html = report_html(run, read)
    assert html.count("<article") == MOST_TOLD
    assert "23 more permutations did not pass; the specifications above list all of them." in text_of(html)
    everything = report_html(run, read_run(folder)[1])
    assert everything.count("<article") == MOST_TOLD


def test_names_from_outside_are_text(tmp_path: Path) -> None:
    evidences = [permutation(NASTY, number, failing=number == 1, file=f"specs/{NASTY}.spec") for number in (1, 2)]
    run, read = read_run(kept(tmp_path, evidences), permutations=False)
    run["cases"][1]["permutation"]["schedule"] = NASTY
    run["cases"][1]["summary"] = "\x1b<script>"
    run["cases"][1]["folder"] = 'javascript:alert("x")/<i>'
    html = report_html(run, read)
    page = Page(html)
    assert page.open == []
    assert page.scripts == OWN
    assert "<b>" not in html
    assert "<i>" not in html
    assert "\x1b" not in html
    assert text_of(html).count(NASTY) >= 3
    links = [link for link in page.links if link[0] != "#"]
    assert any(link.startswith("javascript%3Aalert%28%22x%22%29/%3Ci%3E/") for link in links)
    assert not any(":" in link for link in links)


def test_two_files_of_one_name_and_two_levels_are_told_apart(tmp_path: Path) -> None:
    run, _ = read_run(kept(tmp_path, [permutation("a", 1), permutation("a", 1, file="other/a.spec")]))
    assert "a other/a.spec ✓ 1 passed" in text_of(report_html(run, []))
    run["cases"][1]["level"] = "serializable"
    run["cases"][1]["file"] = run["cases"][0]["file"]
    text = text_of(report_html(run, []))
    assert "a postgresql default" in text
    assert "a postgresql serializable" in text


def test_who_waited_is_said_as_far_as_it_is_known(tmp_path: Path) -> None:
    waiting = [permutation("a", number, of=cascade(), failing=number == 2) for number in (1, 2)]
    folder = kept(tmp_path, [*waiting, permutation("a", 3)], pictured=True)
    run, evidences = read_run(folder)
    known = specifications([(line, one) for line, one in zip(run["cases"], evidences, strict=True)])
    assert known[0].waited == "2"  # and the third has pictures, but nobody waited
    (told,) = specifications([(line, None) for line in run["cases"]])
    assert told.waited == "2+"  # by their pictures; whether anybody waited in the one that failed is not known
    assert (told.count("passed"), told.count("failed"), told.status) == (2, 1, "failed")


# -- runs that were cut off


@pytest.mark.parametrize("lines", [True, False])
def test_a_run_that_was_cut_off(tmp_path: Path, lines: bool) -> None:
    store = Store(tmp_path, "r1")
    store.open()
    made = [permutation("a", number, failing=number == 2) for number in (1, 2, 3)]
    for one in [*made, lost_update()]:
        store.keep(one, {"timeline.svg": "<svg/>"} if one is made[2] else {}, 0.01)
    if not lines:
        for file in store.folder.glob(".cases-*"):
            file.unlink()
    for permutations in (True, False):
        run, evidences = read_run(store.folder, permutations=permutations)
        assert len(evidences) == (4 if permutations or not lines else 3)
        cases, many = separated([(line, None) for line in run["cases"]])
        assert cases == []
        assert [line["permutation"] for line, _ in many] == [
            {"schedule": "p001", "pictures": []},
            {"schedule": "p002", "pictures": []},
            {"schedule": "p003", "pictures": ["timeline.svg"]},
        ]
        text = text_of(report_html(run, evidences))
        assert "a ✓ 2 passed ✗ 1 failed" in text
        assert "a, permutation p002" in text
        assert "1 case, 3 permutations of 1 specification" in text


def test_evidence_that_run_json_does_not_list_is_listed(tmp_path: Path) -> None:
    folder = kept(tmp_path, [permutation("a", 1)])
    Store(tmp_path, "r1").keep(permutation("a", 2), {}, 0.01)
    next(folder.glob(".cases-*")).unlink()
    run, _ = read_run(folder, permutations=False)
    assert [line["permutation"]["schedule"] for line in run["cases"]] == ["p001", "p002"]


# -- pictures on demand, and the terminal


def test_missing_pictures_are_drawn_and_linked(tmp_path: Path) -> None:
    evidences = [permutation("a", 1), permutation("a", 2, failing=True), permutation("b", 1)]
    folder = kept(tmp_path, evidences)
    gone = folder / f"{begin_of(evidences[2])}evidence.json"
    gone.unlink()
    run, read = read_run(folder, permutations=False)
    both = ["timeline.svg", "waits.svg"]
    names = [begin_of(one) for one in evidences]
    assert drawn(folder, run) == {names[0]: [], names[1]: both, names[2]: []}
    said: list[str] = []
    draw_missing(folder, run, said.append)
    assert said == [f"drawing pictures: 1 of 1, {names[0]}"]
    assert drawn(folder, run) == {names[0]: both, names[1]: both, names[2]: []}
    assert (folder / f"{names[0]}timeline.svg").read_text() == timeline_svg(evidences[0])
    assert (folder / f"{names[0]}waits.svg").read_text() == waits_svg(evidences[0])
    html = report_html(run, read, drawn(folder, run))
    assert f'href="{names[0]}timeline.svg"' in html
    assert f'href="{names[0]}timeline.svg"' not in report_html(run, read)
    assert all(one.waited is not True for one in specifications((line, None) for line in run["cases"]))


def test_the_command_draws_them(tmp_path: Path) -> None:
    made = permutation("a", 1)
    folder = kept(tmp_path, [made])
    page, picture = folder / "report.html", folder / f"{begin_of(made)}waits.svg"
    plain = CliRunner().invoke(app, ["report", str(folder)])
    assert (plain.exit_code, plain.output.strip()) == (0, str(page))
    assert not picture.exists()
    pictured = CliRunner().invoke(app, ["report", "--pictures", str(folder)])
    assert (pictured.exit_code, pictured.output.strip()) == (0, str(page))
    assert picture.is_file()
    again = CliRunner().invoke(app, ["report", str(folder)])  # they stay linked
    assert again.exit_code == 0
    assert f"{begin_of(made)}waits.svg" in page.read_text()


def shown(folder: Path, **how: bool) -> str:
    console = Console(file=io.StringIO(), width=110, color_system=None)
    console.print(run_renderable(*read_run(folder, **how)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_has_a_line_for_each_specification(many: Path) -> None:
    for permutations in (True, False):
        text = shown(many, permutations=permutations)
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert f"big ✗ FAILED: p007, p300 {MANY - 1} – – 4.99" in lines
        assert "dead ✓ passed 1 1 1 0.20" in lines
        assert "1 case: 0 passed, 1 failed, 0 error" in lines
        assert f"{MANY} permutations of 2 specifications: {MANY - 2} passed, 2 failed, 0 error" in lines
        assert len(lines) < 30


def test_show_tells_one_in_full(many: Path) -> None:
    told = CliRunner().invoke(app, ["show", "--case", "big[promptsales@postgresql-default-p004", str(many)])
    assert told.exit_code == 0
    assert "big[promptsales@postgresql-default-p004]" in told.output
    assert "prints what was expected" in told.output
