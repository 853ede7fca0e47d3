"""Isolation specifications as tests: what is collected, what is told of each, bad situations in one line each."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import psycopg
import pytest
import two
from two import TWO, TWO_OUT

from .conftest import Project, scenario
from .test_running import no_traceback


def spec(project: Project, name: str, text: str = TWO, out: str | None = TWO_OUT, folder: str = "pg") -> Path:
    return two.spec(project.path / folder, name, text, out)


@pytest.fixture
def three(project: Project) -> Project:
    """Three specifications, and other things that could be collected."""
    for name in ("one", "two", "three"):
        spec(project, name)
    project.scenario("a_scenario")
    project.pytester.makepyfile(test_other="def test_other(): pass")
    (project.path / "pg" / "specs" / "test_beside.py").write_text("def test_beside(): pass", "utf-8")
    return project


def collected(project: Project, *arguments: str) -> list[str]:
    # In this process: --collect-only needs no server.
    result = project.pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:cacheprovider", *arguments)
    return [line for line in result.outlines if "::" in line]


ONE, THREE, SECOND = (f"pg/specs/{name}.spec::{name}" for name in ("one", "three", "two"))


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--isolation-specs", "pg/specs"), [ONE, THREE, SECOND]),
        (("--isolation-specs=pg/specs/two.spec", "--isolation-specs=pg/specs/one.spec"), [SECOND, ONE]),
        (("--isolation-specs=pg/specs", "--isolation-specs=pg/specs/one.spec"), [ONE, THREE, SECOND]),
        (("--isolation-specs=pg/specs", "test_other.py"), ["test_other.py::test_other", ONE, THREE, SECOND]),
        (("--isolation-specs=pg/specs", "pg/specs/two.spec"), [SECOND, ONE, THREE]),
        (("pg/specs/one.spec",), [ONE]),
        (("pg/specs/one.spec::one",), [ONE]),
        (("pg/specs",), ["pg/specs/test_beside.py::test_beside"]),
        (("--isolation-specs=pg/specs", "-k", "not two"), [ONE, THREE]),
        (("--isolation-specs=pg/specs", "-m", "isolation_spec and isolation"), [ONE, THREE, SECOND]),
        (("--isolation-specs=pg/specs", "-m", "deadlock"), []),
    ],
)
def test_what_is_collected(three: Project, arguments: tuple[str, ...], found: list[str]) -> None:
    assert collected(three, *arguments) == found


def test_test_paths_are_left_out_where_only_specifications_are_named(three: Project) -> None:
    three.pytester.makeini("[pytest]\ntestpaths = test_other.py\naddopts = --strict-markers\n")
    assert collected(three) == ["test_other.py::test_other"]
    assert collected(three, "--isolation-specs=pg/specs") == [ONE, THREE, SECOND]


def test_specifications_among_scenarios_are_scenarios(project: Project) -> None:
    spec(project, "one", folder="scenarios/pg")
    spec(project, "two", folder="elsewhere")
    project.scenario("a")
    found = [one.split("::")[0] for one in collected(project)]
    assert sorted(found) == ["scenarios/a.yaml", "scenarios/pg/specs/one.spec"]


def test_those_outside_of_the_project_have_names_of_their_own(three: Project) -> None:
    inner = three.path / "inner"
    inner.mkdir()
    (inner / "pytest.ini").write_text("[pytest]\n", "utf-8")
    result = three.run(f"--rootdir={inner}", f"-c={inner}/pytest.ini", "--isolation-specs=pg/specs", "-v", "-n", "2")
    result.assert_outcomes(passed=3)
    for name in ("one", "two", "three"):
        assert re.search(rf"PASSED inner/\.\./pg/specs/{name}\.spec::{name}", result.stdout.str())


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_each_is_one_test_and_its_permutations_are_told(three: Project, workers: tuple[str, ...]) -> None:
    spec(three, "differs", out=TWO_OUT.replace("10\n", "12\n"))
    result = three.run(*workers, "--isolation-specs", "pg/specs", "--junitxml=junit.xml", "-rA")
    result.assert_outcomes(passed=3, failed=1)
    text = result.stdout.str()
    no_traceback(text)
    (run,) = [path for path in (three.path / "results").iterdir() if not path.is_symlink()]
    told = re.findall(r"^pass    all-([12]): (r1 w2|w2 r1)  (\S+)$", text, re.MULTILINE)
    assert [(number, steps) for number, steps, _ in told] == [("1", "r1 w2"), ("2", "w2 r1")] * 3
    files = {file for _, _, file in told}
    assert len(files) == 6
    assert all((three.path / file).is_file() for file in files)
    for case in ElementTree.parse(three.path / "junit.xml").iter("testcase"):
        properties = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        passed = case.attrib["name"] != "differs"
        assert properties == {
            "permutations": "2 passed" if passed else "1 passed, 1 failed",
            "evidence": f"results/{run.name}/{case.attrib['name']}@promptsales-postgresql-default",
        }
    with psycopg.connect(three.urls["PROMPTSALES_URL"]) as server:
        ask = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        assert server.execute(ask, (f"psh_{run.name}",)).fetchall() == []


def test_a_failure_tells_the_problem_the_differences_and_the_evidence(project: Project) -> None:
    steps = "".join(f"session s{number} step a{number} {{ SELECT {number} AS n; }}\n" for number in range(1, 6))
    head = "Parsed test spec with 5 sessions\n"
    outs = [f"\nstarting permutation: a{n}\nstep a{n}: SELECT {n} AS n;\nn\n-\n0\n(1 row)\n\n" for n in range(1, 6)]
    spec(project, "many", steps + "".join(f"permutation a{n}\n" for n in range(1, 6)), "".join([head, *outs]))
    result = project.run("--isolation-specs=pg/specs")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    no_traceback(text)
    body = text[text.index("many: 5 of 5 permutations print something else") :]
    said = [f"\np{n}: a{n}\n" for n in (1, 2, 3)]
    for one in (*said, "-0\n+3\n", "evidence: results/", "and of 2 more: p4, p5"):
        assert one in body, one
        body = body[body.index(one) + 1 :]
    assert "-0\n+4\n" not in text


def test_with_v_a_failure_lists_all_permutations(project: Project) -> None:
    spec(project, "differs", out=TWO_OUT.replace("10\n", "12\n"))
    text = project.run("--isolation-specs=pg/specs", "-v").stdout.str()
    assert re.search(r"^differs all-1: r1 w2  results/", text, re.MULTILINE)
    assert re.search(r"^pass    all-2: w2 r1  results/", text, re.MULTILINE)


def test_expected_outputs_elsewhere_or_nowhere_and_a_timeout(project: Project) -> None:
    spec(project, "elsewhere", out=None)
    spec(project, "asleep", "session s step z { SELECT pg_sleep(300); }", out=None)
    missing = project.run("--isolation-specs=pg/specs/elsewhere.spec")
    missing.assert_outcomes(failed=1)
    assert "elsewhere: no expected output: there is no elsewhere.out" in missing.stdout.str()
    (project.path / "known").mkdir()
    (project.path / "known" / "elsewhere.out").write_text(TWO_OUT, "utf-8")
    (project.path / "known" / "asleep.out").write_text(
        "Parsed test spec with 1 sessions\n\nstarting permutation: z\nisolationtester: canceling step z after 1 seconds\n"
        "step z: SELECT pg_sleep(300);\nERROR:  canceling statement due to user request\n",
        "utf-8",
    )
    project.run("--isolation-specs=pg/specs", "--isolation-expected=known", "--isolation-timeout=1").assert_outcomes(
        passed=2
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_wrong_one_is_a_collection_error_with_its_place(project: Project, workers: tuple[str, ...]) -> None:
    spec(project, "right")
    spec(project, "wrong", TWO + "permutation r1 w3")
    result = project.run("--isolation-specs=pg/specs", *workers)
    result.assert_outcomes(errors=1, passed=1 if workers else 0)  # pytest-xdist goes on with the others
    text = result.stdout.str()
    assert re.search(r"pg/specs/wrong\.spec:6:16: .*'w3'", text)
    no_traceback(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--isolation-specs=nowhere",), "nowhere: there is no such file or folder"),
        (("--isolation-specs=pg/expected",), "pg/expected: there is no .spec file in it"),
        (
            ("--isolation-specs=pg/specs", "--isolation-expected=nix"),
            "--isolation-expected: nix: there is no such folder",
        ),
        (("--isolation-timeout=0",), "a step's timeout is more than 0 and at most 86400 seconds, not 0"),
    ],
)
def test_a_wrong_option_is_a_usage_error_in_one_line(project: Project, arguments: tuple[str, ...], said: str) -> None:
    spec(project, "one")
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in (*result.outlines, *result.errlines) if line.strip()]
    assert lines == [f"ERROR: {said}"]


def test_a_server_that_is_not_there_skips_and_one_that_does_not_answer_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec(project, "one")
    monkeypatch.setenv("PROMPTSALES_URL", "postgresql://u:s3cret-word@127.0.0.1:1/postgres")
    failed = project.run("--isolation-specs=pg/specs")
    failed.assert_outcomes(failed=1)
    no_traceback(failed.stdout.str())
    assert "127.0.0.1:1" in failed.stdout.str()
    assert "s3cret-word" not in failed.stdout.str()
    monkeypatch.delenv("PROMPTSALES_URL")
    skipped = project.run("--isolation-specs=pg/specs", "-rs")
    skipped.assert_outcomes(skipped=1)
    assert re.search(r"pg/specs/one\.spec.*no URL given; set PROMPTSALES_URL", skipped.stdout.str())
    assert not (project.path / "results").exists()


def test_results_that_cannot_be_written_fail_the_run_in_one_line(three: Project) -> None:
    (three.path / "results").write_text("a file", "utf-8")
    result = three.run("--isolation-specs=pg/specs", "-rN")
    result.assert_outcomes(failed=1)  # what follows could not be kept either
    no_traceback(result.stdout.str())
    assert "results cannot be written to" in result.stdout.str()


def test_scenarios_and_specifications_run_together(three: Project) -> None:
    three.scenario("failing", scenario(final=11))
    result = three.run("--isolation-specs=pg/specs", "scenarios", "-n", "2")
    result.assert_outcomes(passed=4, failed=1)
