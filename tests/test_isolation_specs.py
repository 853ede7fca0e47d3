"""PostgreSQL's own isolation specifications give, byte for byte, what PostgreSQL expects of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.specs import Specs, difference
from harness.suite import Settings, Suite

DATA = Path(__file__).parent / "postgresql_isolation"
SPECS = sorted((DATA / "specs").glob("*.spec"))


@pytest.fixture(scope="session")
def specs(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Specs]:
    """One database for all of them, as in PostgreSQL's own tests; a run of their own, since it stays between tests."""
    root = tmp_path_factory.mktemp("specs")
    environ = {"PROMPTSALES_URL": suite.servers.target("promptsales").url}
    own = Suite(Settings(root=root, results=root / "results", mode="external", environ=environ))
    made = Specs(own)
    yield made
    made.close()
    own.close()


def test_all_are_here() -> None:
    assert len(SPECS) == 40
    assert {file.stem for file in SPECS} <= {file.stem for file in (DATA / "expected").iterdir()}


@pytest.mark.isolation_spec
@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_it_prints_what_is_expected(specs: Specs, file: Path) -> None:
    specification = specs.read(file)
    result = specs.run(specification)
    assert result.passed, "\n".join([result.problem, *difference(result)])
    assert result.output in [text for _, text in specification.expected.variants]
    ran = [permutation.case.id for permutation in result.permutations]
    assert ran == [case.id for case in specification.cases]
    evidence = {permutation.result.path for permutation in result.permutations}
    assert len(evidence) == len(ran)
    assert all(path.is_file() for path in evidence)
