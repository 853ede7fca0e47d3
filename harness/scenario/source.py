"""YAML with its places: every key and value knows its line and column.

YAML 1.2's core types (https://yaml.org/spec/1.2.2/#103-core-schema), so that ``on:`` is a word and not *true*; a key given
twice is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from harness.errors import Location, ScenarioError

Keys = tuple[str | int, ...]
"""The way to a value: keys and list positions from the file's top."""

MOST_VALUES = 100_000
"""Aliases can unfold a small file into a huge one; more values than this are refused."""


class Loader(yaml.SafeLoader):
    """Knows the core types only; the dumper of :mod:`harness.scenario.spec_yaml` quotes what it would take for one."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def _resolver(tag: str, pattern: str, first: str) -> None:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), list(first))


_resolver("bool", "true|false|True|False|TRUE|FALSE", "tTfF")
_resolver("null", "null|Null|NULL|~|", "nN~")
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\Z"), [""])
_resolver("int", "[-+]?(?:0|[1-9][0-9]*)", "-+0123456789")
_resolver("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", "-+.0123456789")


@dataclass(slots=True)
class Source:
    """A parsed file: plain data, and the place of each path in it (of its key, where it has one)."""

    file: Path
    data: Any = None
    places: dict[Keys, Location] = field(default_factory=dict)

    def locate(self, path: Keys) -> Location:
        """The place of ``path``, or of the longest beginning of it that exists."""
        for end in range(len(path), -1, -1):
            if place := self.places.get(path[:end]):
                return place
        return Location(self.file, 1, 1)

    def error(self, message: str, *path: str | int) -> ScenarioError:
        """An error that names the place of ``path``."""
        return ScenarioError(message, self.locate(path))


def read(file: Path) -> Source:
    """Read and parse a file. Raises ScenarioError: unreadable, malformed, empty, a key twice."""
    return parse(read_text(file), file)


def read_text(file: Path) -> str:
    """The text of a file, its newlines as they are, without a byte order mark.

    Raises ScenarioError: it cannot be read, or it is not UTF-8 (with the place of the first byte that is not).
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ScenarioError(f"{file}: cannot be read: {error.strerror or error}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lines = raw[: error.start].decode("utf-8", "replace").split("\n")
        place = Location(file, len(lines), len(lines[-1]) + 1)
        raise ScenarioError(f"is not UTF-8 text (byte {raw[error.start]:#04x})", place) from None


def parse(text: str, file: Path) -> Source:
    """Parse YAML text that came from ``file``. Raises ScenarioError as :func:`read` does."""
    source = Source(file)
    try:
        loader = Loader(text)
    except ReaderError as error:
        raise ScenarioError(
            f"not valid YAML: the character {chr(error.character)!r} may not stand in it",
            _at(text, error.position, file),
        ) from None
    try:
        node = loader.get_single_node()
        if node is None or (isinstance(node, ScalarNode) and not node.value):
            raise ScenarioError("the file is empty: a scenario begins with 'title:'", Location(file, 1, 1))
        source.data = _Builder(loader, source).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Location(file, mark.line + 1, mark.column + 1) if mark else None
        raise ScenarioError(f"not valid YAML: {_in_words(error)}", where) from None
    finally:
        loader.dispose()
    return source


def _at(text: str, position: int, file: Path) -> Location:
    lines = text[:position].split("\n")
    return Location(file, len(lines), len(lines[-1]) + 1)


def _in_words(error: yaml.MarkedYAMLError) -> str:
    problem, context = error.problem or "", error.context or ""
    if r"'\t'" in problem:
        return "a tab cannot indent, use spaces"
    if context == "while scanning a quoted scalar":
        line = f", opened in line {error.context_mark.line + 1}" if error.context_mark else ""
        return f"a quote is not closed{line}"
    if problem == "mapping values are not allowed here":
        return f"{problem}: put a text that has ': ' in it into quotes"
    return f"{problem} ({context})" if context else problem


class _Builder:
    """Makes plain data of YAML's nodes and notes their places."""

    def __init__(self, loader: Loader, source: Source) -> None:
        self.loader = loader
        self.source = source
        self.values = 0
        self.within: list[Node] = []  # from the top to here: an alias to one of them would never end

    def build(self, node: Node, path: Keys) -> Any:
        place = self._place(node)
        self.source.places.setdefault(path, place)
        self.values += 1
        if self.values > MOST_VALUES or node in self.within:
            raise ScenarioError("aliases make this file endless" if node in self.within else "too many values", place)
        if isinstance(node, ScalarNode):
            try:
                return self.loader.construct_object(node)
            except ValueError:  # Python's own limit for what it makes a number of
                raise ScenarioError("this number has too many digits", place) from None
        self.within.append(node)
        made = self._mapping(node, path) if isinstance(node, MappingNode) else self._list(node, path)
        self.within.pop()
        return made

    def _place(self, node: Node) -> Location:
        return Location(self.source.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _mapping(self, node: MappingNode, path: Keys) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = self._place(key_node)
            if not isinstance(key_node, ScalarNode):
                raise ScenarioError(
                    "a key must be a plain word; a text that begins with '{' or '[' needs quotes", place
                )
            key = str(key_node.value)
            if key in data:
                first = self.source.places[(*path, key)]
                raise ScenarioError(f"{key!r} stands here a second time (first in line {first.line})", place)
            self.source.places[(*path, key)] = place
            data[key] = self.build(value_node, (*path, key))
        return data

    def _list(self, node: Node, path: Keys) -> list[Any]:
        assert isinstance(node, SequenceNode)
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
