"""Which machines: the texts of ``--tx``, which are execnet's (https://execnet.readthedocs.io/en/latest/basics.html)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from execnet import XSpec

from harness.errors import HostError

_TIMES = re.compile(r"(\d+)\*(.*)", re.DOTALL)
_LOGIN_WITH_PASSWORD = re.compile(r"[^\s@:=/]+:[^@\s]+@")
_SECRET_WORD = re.compile(r"(?i)(password|passwd|pwd|secret|token)[^=/]*=")
_TAKES_A_VALUE = frozenset("BbcDEeFIiJLlmOopQRSWw")
"""Options of ssh that the next word belongs to (ssh(1))."""

FORMS = "write --tx ssh=HOST or ssh=USER@HOST, with //python=PATH, //ssh_config=FILE or //id=NAME behind it if need be"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One ``--tx``: ``name`` is what the run calls the machine, ``text`` the whole as it was given (no secret is in it)."""

    name: str
    text: str

    @property
    def spec(self) -> XSpec:
        """A fresh execnet specification."""
        return XSpec(self.text)

    @property
    def is_local(self) -> bool:
        """Whether it is a process on this machine: ``popen``."""
        return bool(self.spec.popen)

    def without(self, *keys: str) -> HostSpec:
        """The same machine, with nothing said of these: ``without("chdir")``."""
        words = [word for word in self.text.split("//") if word.partition("=")[0] not in keys]
        return HostSpec(self.name, "//".join(words))


def host_specs(given: Iterable[str]) -> list[HostSpec]:
    """The machines that ``--tx`` names, in order, ``2*ssh=pc1`` as two; names made different by a number.

    Raises HostError for what is no such text, for one that would put a password where everybody reads it, and for ways
    that are not encrypted.
    """
    made: list[HostSpec] = []
    for text in given:
        times = _TIMES.fullmatch(text)
        count, one = (int(times[1]), times[2]) if times else (1, text)
        for _ in range(count):
            name = _name(one)
            taken = sum(spec.name == name or spec.name.startswith(f"{name}-") for spec in made)
            made.append(HostSpec(f"{name}-{taken + 1}" if taken else name, one))
    return made


def _name(text: str) -> str:
    """What the machine is called: its ``id=``, else the host that ssh is told."""
    if _LOGIN_WITH_PASSWORD.search(text) or _SECRET_WORD.search(text):
        raise HostError(
            "a --tx has a password in it, and --tx is printed and kept: use an ssh key, and give passwords of databases "
            "by the environment (it is not repeated here)"
        )
    try:
        spec = XSpec(text)
    except (ValueError, AttributeError, IndexError) as error:
        raise HostError(f"--tx {text}: {error}; {FORMS}") from None
    if spec.socket:
        raise HostError(
            f"--tx {text}: a socket is neither encrypted nor does it ask who is there, and passwords of databases would "
            "travel over it; use ssh=HOST"
        )
    if spec.popen:
        return spec.id or "popen"
    if not spec.ssh or not isinstance(spec.ssh, str):
        raise HostError(f"--tx {text}: this names no machine; {FORMS}")
    return spec.id or _host_of(spec.ssh)


def _host_of(words: str) -> str:
    """The host among what is told to ssh: ``-p 2222 ana@pc1`` is pc1."""
    rest = iter(words.split())
    for word in rest:
        if word.startswith("-"):
            if len(word) == 2 and word[1] in _TAKES_A_VALUE:
                next(rest, None)
            continue
        return word.rpartition("@")[2]
    raise HostError(f"--tx ssh={words}: this names no machine; {FORMS}")
