"""What isolationtester is expected to print for a specification: ``NAME.out``, and variants ``NAME_0.out`` … ``NAME_9.out``.

pg_isolation_regress compares whole files: the output is right if it equals one of them, byte for byte. Each permutation
is a case here, so that a file can also be taken apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from harness.errors import ScenarioError

VARIANTS = 10
"""The numbers of variants go from 0 to 9."""

_PERMUTATION = re.compile(r"^(?=\nstarting permutation:)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected files that there are, the plain one first: name and whole text of each.

    Bytes that are not UTF-8 stand in a text as lone surrogates (``surrogateescape``), newlines as they are.
    """

    variants: tuple[tuple[str, str], ...] = ()

    def outputs(self) -> tuple[tuple[str, ...], ...]:
        """What each permutation may print, each text once: no more permutations than the longest variant has."""
        by_variant = [split(text)[1] for _, text in self.variants]
        by_permutation = zip_longest(*by_variant)
        return tuple(tuple(dict.fromkeys(text for text in texts if text is not None)) for texts in by_permutation)


def split(text: str) -> tuple[str, tuple[str, ...]]:
    """The head of an output and its permutations, which begin with an empty line: all joined are ``text`` again.

    >>> split("Parsed\\n\\nstarting permutation: a\\nstep a: x\\n\\nstarting permutation: b\\n")
    ('Parsed\\n', ('\\nstarting permutation: a\\nstep a: x\\n', '\\nstarting permutation: b\\n'))
    """
    head, *permutations = _PERMUTATION.split(text)
    return head, tuple(permutations)


def read_expected(folder: Path, name: str) -> Expected:
    """The files that ``folder`` holds for the specification called ``name``: it may hold none.

    Raises ScenarioError if one is there and cannot be read.
    """
    names = (f"{name}.out", *(f"{name}_{number}.out" for number in range(VARIANTS)))
    return Expected(tuple((file, _text(folder / file)) for file in names if (folder / file).exists()))


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode(errors="surrogateescape")
    except OSError as error:
        raise ScenarioError(f"{file}: cannot be read: {error.strerror or error}") from None
