"""Command lines of the manifests: the programs take them. Nothing is run: they are only parsed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
import typer
from k8s_build import BUILDS, ROOT, Build, Object, Pod, build

from fixtures.seed import SIZES
from harness.cli import app
from harness.kubernetes.parts import IMAGE, LOCUST_PORT

pytestmark = pytest.mark.k8s_manifests

USAGE_ERROR = typer.BadParameter.__bases__[0]
PROGRAMS = {"harness", "pytest", "locust"}
"""What the harness's image is started for."""


def words(made: Build, container: Object) -> list[str]:
    """What is run, as Kubernetes gives it on: with $(VARIABLES) put in, without the init process."""
    known = {}
    for one in container.get("env", ()):
        known[one["name"]] = str(one.get("value", ""))
        if found := one.get("valueFrom", {}).get("configMapKeyRef"):
            known[one["name"]] = made.one("ConfigMap", found["name"])["data"][found["key"]]
    line = [*container.get("command", ()), *container.get("args", ())]
    if line[:2] == ["tini", "--"]:
        line = line[2:]
    return [re.sub(r"\$\(([\w.-]+)\)", lambda found: known[found[1]], word) for word in line]


def ours(made: Build) -> Iterator[tuple[Pod, Object, list[str]]]:
    for pod in made.pods:
        for container in pod.every:
            if container.get("image", "").rpartition("/")[2].startswith(f"{IMAGE}:"):
                yield pod, container, words(made, container)


def lines(program: str) -> set[tuple[str, ...]]:
    return {tuple(line) for name in BUILDS for _, _, line in ours(build(name)) if line[0] == program}


def refused(line: Sequence[str]) -> str:
    """What ``harness`` has to say against this command line, or nothing. No command is run."""
    command = typer.main.get_command(app)
    context, rest = None, list(line[1:])
    name: str | None = line[0]
    try:
        while True:
            context = command.make_context(name, rest, parent=context)
            if not hasattr(command, "resolve_command"):
                return ""
            rest = [*context._protected_args, *context.args]
            name, command, rest = command.resolve_command(context, rest)
    except USAGE_ERROR as problem:
        return f"{' '.join(line)}: {problem.format_message()}"
    except typer.Exit:
        return f"{' '.join(line)}: only tells its help"


@cache
def option_values(*program: str) -> dict[str, bool]:
    """The options that ``--help`` tells of, and whether each takes a value."""
    done = subprocess.run(
        [sys.executable, "-m", *program, "--help"], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    known = {}
    for line in done.stdout.splitlines():
        if found := re.match(r"\s+(-[\w-]+.*?)(?:\s{2,}|$)", line):
            takes = bool(re.search(r"[= ](?!-)[<\[{]?\w", found[1]))
            known.update(dict.fromkeys(re.findall(r"(?<![\w-])--?[\w-]+", found[1]), takes))
    return known


def split(line: Sequence[str], known: dict[str, bool]) -> tuple[list[tuple[str, str]], list[str]]:
    """Options with their values, and what stands alone. An unknown option is a KeyError."""
    options, alone = [], []
    rest = iter(line)
    for word in rest:
        if not word.startswith("-"):
            alone.append(word)
            continue
        option, given, value = word.partition("=")
        takes = known[option]
        options.append((option, value if given else next(rest) if takes else ""))
    return options, alone


@pytest.mark.parametrize("name", BUILDS)
def test_the_image_runs_what_is_in_it(name: str) -> None:
    found = [(pod.name, line[0]) for pod, _, line in ours(build(name))]
    assert {program for _, program in found} == PROGRAMS


def test_the_harness_takes_its_command_lines() -> None:
    asked = lines("harness")
    assert asked
    assert [problem for one in sorted(asked) if (problem := refused(one))] == []


def test_pytest_takes_its_command_line(pytestconfig: pytest.Config) -> None:
    markers = {re.split(r"[:(]", one)[0] for one in pytestconfig.getini("markers")}
    asked = lines("pytest")
    assert asked
    for one in asked:
        options, alone = split(one[1:], option_values("pytest"))
        given = dict(options)
        assert alone
        assert all((ROOT / path).exists() for path in alone)
        assert set(re.findall(r"\w+", given["-m"])) - {"and", "or", "not"} <= markers
        assert (given["--servers"], given["--results"]) == ("external", "/results")
        agents = [value.split()[2].partition("//")[0] for option, value in options if option == "--tx"]
        assert agents == [f"harness-agent-{index}.harness-agent" for index in range(2)]


def test_pytest_takes_what_the_environment_adds() -> None:
    container = build("dev").pod("harness").containers[0]
    (added,) = (one["value"] for one in container["env"] if one["name"] == "PYTEST_ADDOPTS")
    assert split(shlex.split(added), option_values("pytest")) == ([("-p", "no:cacheprovider")], [])


def test_locust_takes_its_command_lines() -> None:
    asked = lines("locust")
    masters = workers = 0
    for one in asked:
        options, alone = split(one[1:], option_values("locust"))
        given = dict(options)
        assert alone == []
        assert (ROOT / given["-f"]).is_file()
        masters += "--master" in given
        if "--worker" in given:
            workers += 1
            service = build("dev").one("Service", given["--master-host"])
            assert LOCUST_PORT in {port["port"] for port in service["spec"]["ports"]}
    assert (masters, workers) == (1, 1)


@pytest.mark.parametrize("name", BUILDS)
def test_every_part_of_the_clients_is_seeded_once(name: str) -> None:
    made, sizes, indexed = build(name), set(), set()
    for pod, _, line in ours(made):
        if line[:2] != ["harness", "seed"]:
            continue
        sizes.add(line[2])
        spec = pod.workload["spec"]
        if "--parts" in line:
            indexed.add(pod.name)
            assert spec["completionMode"] == "Indexed"
            assert int(line[line.index("--parts") + 1]) == spec["completions"]
            assert spec["parallelism"] <= spec["completions"]
        else:
            assert spec.get("completions", 1) == 1
            assert spec.get("completionMode", "NonIndexed") == "NonIndexed"
    assert indexed == {"seed-crm"}
    assert sizes == {"full" if name.startswith("prod") else "small"}
    assert sizes <= set(SIZES)


def test_a_wrong_command_line_is_refused() -> None:
    assert refused(["harness", "seed", "--sources", "--servers", "external"]) == ""
    assert "--parst" in refused(["harness", "seed", "--parst", "10"])
    assert "sede" in refused(["harness", "sede"])
    assert refused(["harness", "seed", "--workers", "none"])
    assert "nothing" in refused(["harness", "kubernetes", "nothing"])


@pytest.mark.parametrize("program", ["pytest", "locust"])
def test_an_unknown_option_is_refused(program: str) -> None:
    with pytest.raises(KeyError):
        split(["--no-such-option"], option_values(program))
