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

from harness.errors import Location, ScenarioError

Path_ = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def _resolver(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), list(first))


_resolver("bool", "true|false|True|False|TRUE|FALSE", "tTfF")
_resolver("null", "null|Null|NULL|~|", "nN~")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\Z"), [""])
_resolver("int", "[-+]?(?:0|[1-9][0-9]*)", "-+0123456789")
_resolver("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", "-+.0123456789")


@dataclass(slots=True)
class Source:
    """A parsed file: plain data, and the place of each path in it (of its key, where it has one)."""

    file: Path
    data: Any = None
    places: dict[Path_, Location] = field(default_factory=dict)

    def locate(self, path: Path_) -> Location:
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
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{file}: is not UTF-8 text (byte {error.start})") from None
    return parse(text, file)


def parse(text: str, file: Path) -> Source:
    """Parse YAML text that came from ``file``."""
    source = Source(file)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise ScenarioError("the file is empty: a scenario begins with 'title:'", Location(file, 1, 1))
        source.data = _build(loader, node, (), source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Location(file, mark.line + 1, mark.column + 1) if mark else None
        context = f" ({error.context})" if error.context else ""
        raise ScenarioError(f"not valid YAML: {error.problem}{context}", where) from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"not valid YAML: {' '.join(str(error).split())}", Location(file, 1, 1)) from None
    finally:
        loader.dispose()
    return source


def _build(loader: _Loader, node: Node, path: Path_, source: Source) -> Any:
    place = Location(source.file, node.start_mark.line + 1, node.start_mark.column + 1)
    source.places.setdefault(path, place)
    if isinstance(node, MappingNode):
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_place = Location(source.file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, ScalarNode):
                raise ScenarioError("a key must be a plain word", key_place)
            key = str(key_node.value)
            if key in data:
                first = source.places[(*path, key)]
                raise ScenarioError(f"{key!r} stands here a second time (first in line {first.line})", key_place)
            source.places[(*path, key)] = key_place
            data[key] = _build(loader, value_node, (*path, key), source)
        return data
    if isinstance(node, SequenceNode):
        return [_build(loader, item, (*path, index), source) for index, item in enumerate(node.value)]
    return loader.construct_object(node)
