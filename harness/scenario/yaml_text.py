"""A scenario's data as YAML text that the loader reads back as it was."""

from __future__ import annotations

from typing import Any

import yaml

from harness.scenario.source import Loader


class Line(dict[str, Any]):
    """A mapping on one line, if it fits."""


class Row(list[Any]):
    """A list on one line, if it fits."""


class Block(dict[str, Any]):
    """A mapping with a line for each of its keys."""


class Lines(list[Any]):
    """A list with a line for each of its items."""


class Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would take for another type; no aliases, and lists stand to the right of their keys."""

    yaml_implicit_resolvers = {
        first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *Loader.yaml_implicit_resolvers.get(first, [])]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Loader.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:
        """None are made: a text is read as a whole."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """The items of a list stand two to the right of its key."""
        super().increase_indent(flow, False)


def _text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text.strip("\n") else None)


Dumper.add_representer(str, _text)
Dumper.add_representer(Lines, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, False))
Dumper.add_representer(Block, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, False))
Dumper.add_representer(Line, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, True))
Dumper.add_representer(Row, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))


def dumped(data: dict[str, Any]) -> str:
    """The text. What is deepest inside stands on one line, if it fits."""
    made: str = yaml.dump(data, Dumper=Dumper, allow_unicode=True, sort_keys=False, width=120, default_flow_style=None)
    return made
