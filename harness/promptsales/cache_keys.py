"""Key conventions of the cache: ``schemas/cache/redis/keys.yaml`` is their one source.

>>> conventions().key("plan_price", plan=7)
Key('plan:7:price')
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.errors import DataError, did_you_mean
from harness.schemas import PROMPTSALES

FILE = PROMPTSALES / "cache" / "redis" / "keys.yaml"

_KINDS = {
    "id": (r"[1-9][0-9]{0,18}", "a whole number from 1"),
    "word": (r"[a-z0-9_-]{1,40}", "lower-case letters, digits, _ and -, at most 40"),
    "subject": (r"[A-Za-z0-9._@+-]{1,80}", "letters, digits and . _ @ + -, at most 80"),
    "digest": (r"[0-9a-f]{64}", "64 hexadecimal digits"),
    "token": (r"[0-9a-f]{32}", "32 hexadecimal digits"),
    "key": (r"[A-Za-z0-9:._@+-]{1,200}", "a key of these conventions"),
}
_TYPES = ("string", "hash", "set", "zset", "list", "stream")
_PART = re.compile(r"\{(\w+):(\w+)\}")


@dataclass(frozen=True, slots=True)
class Convention:
    """One kind of key. ``seconds`` None: it lives until it is deleted."""

    name: str
    pattern: str
    type: str
    seconds: int | None
    owner: str
    holds: str

    @property
    def parts(self) -> dict[str, str]:
        """Its parts and their kinds, in order."""
        return dict(_PART.findall(self.pattern))

    @property
    def glob(self) -> str:
        """A pattern for SCAN that all its keys match, and perhaps others: see :meth:`Keys.find`."""
        return _PART.sub(lambda found: "[1-9]*" if found[2] == "id" else "*", self.pattern)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that follows its convention."""

    text: str
    convention: Convention = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Key({self.text!r})"


class Keys:
    """All conventions, by name."""

    def __init__(self, conventions: Mapping[str, Convention]) -> None:
        self.conventions = conventions

    def key(self, name: str, /, **parts: object) -> Key:
        """The key ``name`` of these parts. Raises DataError for an unknown name, a missing, unknown or unfit part."""
        convention = self.conventions.get(name)
        if convention is None:
            raise DataError(f"no key is called {name!r}{did_you_mean(name, self.conventions)}: see {FILE.name}")
        wanted = convention.parts
        for part in wanted:
            if part not in parts:
                raise DataError(f"the key {name} ({convention.pattern}) needs the part {part!r}")
        for part in parts:
            if part not in wanted:
                raise DataError(
                    f"the key {name} ({convention.pattern}) has no part {part!r}{did_you_mean(part, wanted)}"
                )
        texts = {part: _text(convention, part, kind, parts[part]) for part, kind in wanted.items()}
        return Key(_PART.sub(lambda found: texts[found[1]], convention.pattern), convention)

    def find(self, text: str) -> Key | None:
        """The key that a text is; None if it follows no convention.

        >>> conventions().find("lease:plan:7:price").convention.name, conventions().find("plan:07:price")
        ('lease', None)
        """
        for convention in self.conventions.values():
            found = _expression(convention.pattern).fullmatch(text)
            inner = (found[part] for part, kind in convention.parts.items() if kind == "key") if found else ()
            if found and all(self.find(one) for one in inner):
                return Key(text, convention)
        return None


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    pieces = _PART.split(pattern)  # text, part, kind, text, ...
    written = [re.escape(pieces[0])]
    for part, kind, after in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        written.append(f"(?P<{part}>{_KINDS[kind][0]}){re.escape(after)}")
    return re.compile("".join(written), re.ASCII)


def _text(convention: Convention, part: str, kind: str, value: object) -> str:
    pattern, means = _KINDS[kind]
    text = str(value) if isinstance(value, str | int | Key) and not isinstance(value, bool) else ""
    if (kind == "key" and not isinstance(value, Key)) or not re.fullmatch(pattern, text, re.ASCII):
        raise DataError(f"the part {part!r} of the key {convention.name} cannot be {value!r:.60}: {means}")
    return text


def load(file: Path = FILE) -> Keys:
    """Read the conventions. Raises DataError, with the file and the key, if they are not right."""
    try:
        written: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    if not isinstance(written, dict) or not written:
        raise DataError(f"{file}: must be a map of key conventions")
    return Keys({str(name): _convention(file, str(name), one) for name, one in written.items()})


def _convention(file: Path, name: str, written: Any) -> Convention:
    fields = ("pattern", "type", "seconds", "owner", "holds")
    if not isinstance(written, dict) or set(written) != set(fields):
        raise DataError(f"{file}: {name} must have {', '.join(fields)}, no less and no more")
    convention = Convention(name, *(written[one] for one in fields))
    if convention.type not in _TYPES:
        raise DataError(f"{file}: {name}: {convention.type!r} is no type{did_you_mean(str(convention.type), _TYPES)}")
    if convention.seconds is not None and not (type(convention.seconds) is int and convention.seconds > 0):
        raise DataError(f"{file}: {name}: seconds must be a whole number from 1, or null")
    for part, kind in convention.parts.items():
        if kind not in _KINDS:
            raise DataError(f"{file}: {name}: {part} is of no known kind: {kind!r}{did_you_mean(kind, _KINDS)}")
    return convention


@functools.cache
def conventions() -> Keys:
    """The conventions of ``schemas/cache``, read once. Raises DataError."""
    return load()
