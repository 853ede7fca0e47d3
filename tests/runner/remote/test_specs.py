from __future__ import annotations

import pytest

from harness.errors import HostError
from harness.runner.remote.specs import host_specs


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["ssh=pc1", "ssh=pc2"], ["pc1", "pc2"]),
        (["ssh=ana@pc1"], ["pc1"]),
        (["ssh=-p 2222 -i key ana@192.168.1.20"], ["192.168.1.20"]),
        (["ssh=pc1//id=left//python=python3.12"], ["left"]),
        (["2*ssh=pc1", "ssh=pc2"], ["pc1", "pc1-2", "pc2"]),
        (["3*popen"], ["popen", "popen-2", "popen-3"]),
        (["popen//python=/opt/3*4/python"], ["popen"]),
        ([], []),
    ],
    ids=["two", "user", "options", "id", "times", "popen", "a star further on", "none"],
)
def test_names(given: list[str], names: list[str]) -> None:
    assert [spec.name for spec in host_specs(given)] == names


@pytest.mark.parametrize(
    "text",
    [
        "ssh=ana:hunter22@pc1",
        "ssh=pc1//env:PGPASSWORD=hunter22",
        "ssh=pc1//password=hunter22",
        "ssh=pc1//id=a:hunter22@b",
    ],
)
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(HostError, match="--tx has a password in it") as caught:
        host_specs(["ssh=pc1", text])
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("socket=pc1:8888", "a socket is neither encrypted"),
        ("pc1", "names no machine; write --tx ssh=HOST"),
        ("ssh=", "names no machine"),
        ("ssh", "names no machine"),
        ("ssh=-p 22", "names no machine"),
        ("vagrant_ssh=box", "names no machine"),
        ("ssh=pc1//ssh=pc2", "duplicate key"),
        ("", "--tx : "),
        ("ssh=pc1//_spec=x", "not a valid XSpec key"),
    ],
)
def test_what_is_no_machine(text: str, said: str) -> None:
    with pytest.raises(HostError, match="--tx") as caught:
        host_specs([text])
    assert said in str(caught.value)
