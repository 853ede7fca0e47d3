"""The databases of PromptSales as pictures: tables, keys, how they hang together, drawn from the files of ``schemas/``.

Tables stand in columns from left to right: those that refer to nothing first, each other one right of all that it refers to.
``python -m harness.report.schemas FOLDER`` draws all of them; the pictures in ``docs/pictures`` are made so.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx as nx
import sqlglot
import yaml
from sqlglot import exp

from harness.errors import DataError
from harness.report.svg import Canvas, text_width
from harness.schemas import Wanted, scripts

_ROW, _HEAD, _PAD, _GAP_X, _GAP_Y, _MARGIN, _LOOP = 17, 26, 10, 64, 22, 20, 20
_HIGH = 640  # of a column; more blocks begin another one

_TABLE = re.compile(r"^CREATE TABLE .*?^\);", re.MULTILINE | re.DOTALL)
_ELSEWHERE = re.compile(r"^\s+(\w+) .*-- of (Prompt\w+)", re.MULTILINE)

NOT_SHOWN = ("seed_range",)
"""The seeder's own table says nothing of the business."""


@dataclass(slots=True)
class Field:
    """A column, or a field of documents: its type as it is written, what it refers to."""

    name: str
    kind: str
    key: bool = False
    refers: str = ""  # a table of the same database
    elsewhere: str = ""  # another database that its values come from


@dataclass(slots=True)
class Table:
    """A table, a collection, or a kind of key."""

    name: str
    fields: list[Field] = field(default_factory=list)


def tables(schemas: Path, logical: str) -> list[Table]:
    """What the files of a logical database declare. Raises DataError if there are none."""
    return list({"promptcontent": _collections, "cache": _keys}.get(logical, _tables)(schemas, logical))


def _tables(schemas: Path, logical: str) -> Iterator[Table]:
    for script in scripts(schemas, logical, "postgresql", Wanted.empty, server=False):
        for found in _TABLE.finditer(str(script.parts[0][1])):
            table = _table(found.group())
            if table.name not in NOT_SHOWN:
                yield table


def _table(text: str) -> Table:
    tree = sqlglot.parse_one(text, dialect="postgres")
    elsewhere = dict(_ELSEWHERE.findall(text))
    table = tree.this.this
    made = Table(f"{table.db}.{table.name}" if table.db else table.name)
    keys: set[str] = set()
    refers: dict[str, str] = {}
    for part in tree.this.expressions:
        if isinstance(part, exp.ColumnDef):
            made.fields.append(Field(part.name, part.kind.sql("postgres").lower() if part.kind else ""))
            for constraint in part.constraints:
                if isinstance(constraint.kind, exp.PrimaryKeyColumnConstraint):
                    keys.add(part.name)
                elif isinstance(constraint.kind, exp.Reference):
                    refers[part.name] = _target(constraint.kind)
        for key in part.find_all(exp.PrimaryKey):
            keys |= {column.name for column in key.expressions}
        for foreign in part.find_all(exp.ForeignKey):
            refers[foreign.expressions[0].name] = _target(foreign.args["reference"])
    for one in made.fields:
        one.key, one.refers, one.elsewhere = one.name in keys, refers.get(one.name, ""), elsewhere.get(one.name, "")
    return made


def _target(reference: exp.Expression) -> str:
    table = reference.find(exp.Table)
    return table.name if table is not None else ""


def _collections(schemas: Path, logical: str) -> Iterator[Table]:
    for script in scripts(schemas, logical, "mongodb", Wanted.empty, server=False):
        for _, command in script.parts:
            if isinstance(command, Mapping) and "create" in command:
                rules = command.get("validator", {}).get("$jsonSchema", {})
                yield Table(str(command["create"]), list(_properties(rules)))


def _properties(rules: Mapping[str, Any], prefix: str = "") -> Iterator[Field]:
    for name, rule in rules.get("properties", {}).items():
        kind = rule.get("bsonType", "")
        if rule.get("properties") and kind == "object":
            yield from _properties(rule, f"{prefix}{name}.")
            continue
        if kind == "array":
            kind = f"{rule.get('items', {}).get('bsonType', '')}[]"
        shown = " | ".join(kind) if isinstance(kind, list) else kind
        yield Field(
            prefix + name, shown or " | ".join(map(str, rule.get("enum", ()))), key=name == "_id" and not prefix
        )


def _keys(schemas: Path, logical: str) -> Iterator[Table]:
    """Conventions of keys, by the database whose data they hold; with the seconds that they live."""
    file = schemas / logical / "redis" / "keys.yaml"
    owners: dict[str, list[Field]] = {}
    try:
        for key in yaml.safe_load(file.read_text("utf-8")).values():
            pattern = re.sub(r"\{(\w+):\w+\}", r"{\1}", key["pattern"])
            owners.setdefault(f"of {key['owner']}", []).append(
                Field(pattern, f"{key['type']}, {key['seconds']} s" if key["seconds"] else key["type"])
            )
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as problem:
        raise DataError(f"{file}: not the conventions of keys: {problem}") from None
    yield from (Table(owner, fields) for owner, fields in owners.items())


# -- drawing


@dataclass(slots=True)
class _Box:
    table: Table
    width: float
    x: float = 0.0
    y: float = 0.0

    @property
    def height(self) -> float:
        return _HEAD + _ROW * len(self.table.fields) + 6

    @property
    def loops(self) -> bool:
        return any(one.refers == self.table.name for one in self.table.fields)

    def row(self, index: int) -> float:
        return self.y + _HEAD + _ROW * index + 12


def picture(logical: str, found: list[Table]) -> str:
    """The tables as a self-contained SVG, for light and dark."""
    boxes = {table.name: _Box(table, _width(table)) for table in found}
    size = _place(boxes)
    names = ", ".join(boxes)
    canvas = Canvas(f"The tables of {logical}", f"{len(found)} of them: {names}.", f"schema {logical}")
    for box in boxes.values():
        for index, one in enumerate(box.table.fields):
            if one.refers in boxes:
                _line(canvas, box, index, boxes[one.refers])
    for box in boxes.values():
        _box(canvas, box)
    return canvas.render(*size)


def _width(table: Table) -> float:
    rows = [text_width(one.name, 11, mono=True) + text_width(_told(one), 11) + 34 for one in table.fields]
    return max([text_width(table.name, 14, bold=True) + 24, *rows]) + 2 * _PAD


def _told(one: Field) -> str:
    return f"{one.kind}  ↗ {one.elsewhere}" if one.elsewhere else one.kind


def _place(boxes: Mapping[str, _Box]) -> tuple[float, float]:
    """Give each box its place; gives the size of the whole."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(boxes)
    for box in boxes.values():
        graph.add_edges_from(
            (one.refers, box.table.name)
            for one in box.table.fields
            if one.refers in boxes and one.refers != box.table.name
        )
    order = list(boxes)
    blocks = sorted(nx.weakly_connected_components(graph), key=lambda block: min(order.index(name) for name in block))
    x = y = float(_MARGIN)
    wide = high = 0.0
    for block in blocks:
        width, height = _place_block(graph.subgraph(block), boxes)
        if y > _MARGIN and y + height > _HIGH:
            x, y, wide = x + wide + _GAP_X, float(_MARGIN), 0.0
        for name in block:
            boxes[name].x += x
            boxes[name].y += y
        y += height + _GAP_Y
        wide, high = max(wide, width), max(high, y)
    return x + wide + _MARGIN, high - _GAP_Y + _MARGIN


def _place_block(graph: nx.DiGraph[str], boxes: Mapping[str, _Box]) -> tuple[float, float]:
    """Place boxes that hang together, from 0, 0; gives the size of the block."""
    x = height = width = 0.0
    for layer in nx.topological_generations(graph):
        y = 0.0
        for name in sorted(layer, key=lambda name: _wish(graph, boxes, name)):
            boxes[name].x, boxes[name].y = x, y
            y += boxes[name].height + _GAP_Y
        height = max(height, y - _GAP_Y)
        width = x + max(boxes[name].width + (_LOOP if boxes[name].loops else 0) for name in layer)
        x = width + _GAP_X
    return width, height


def _wish(graph: Any, boxes: Mapping[str, _Box], name: str) -> tuple[float, int]:
    """Beside what it refers to; else where the files have it."""
    order = list(boxes).index(name)
    heights = [boxes[other].y for other in graph.predecessors(name)]
    return (sum(heights) / len(heights) if heights else 0.0, order)


def _box(canvas: Canvas, box: _Box) -> None:
    canvas.rect(box.x, box.y, box.width, box.height, "f-card s-edge", rx=6)
    canvas.path(f"M{box.x + 0.5:.1f} {box.y + _HEAD:.1f} H{box.x + box.width - 0.5:.1f}", "s-edge", stroke_width=1)
    canvas.text(box.x + _PAD, box.y + 18, box.table.name, "f-band-ink bold big")
    for index, one in enumerate(box.table.fields):
        y = box.row(index) + 4
        if one.key:
            canvas.circle(box.x + _PAD + 4, y - 4, 3.5, "f-amber-edge")
        elif one.refers:
            canvas.circle(box.x + _PAD + 4, y - 4, 3, "none s-server1", stroke_width=1.5)
        canvas.text(box.x + _PAD + 14, y, one.name, "f-ink mono" + (" bold" if one.key else ""))
        colour = "f-purple-ink" if one.elsewhere else "f-soft"
        canvas.text(box.x + box.width - _PAD, y, _told(one), f"{colour} small", text_anchor="end")


def _line(canvas: Canvas, box: _Box, index: int, other: _Box) -> None:
    y, target = box.row(index), other.y + _HEAD / 2
    head = canvas.arrow("server1")
    if other is box:
        right = box.x + box.width
        d = f"M{right:.1f} {y:.1f} C{right + 24:.1f} {y:.1f} {right + 24:.1f} {target:.1f} {right:.1f} {target:.1f}"
    else:
        start, end = box.x, other.x + other.width
        bend = max((start - end) / 2, 20)
        d = f"M{start:.1f} {y:.1f} C{start - bend:.1f} {y:.1f} {end + bend:.1f} {target:.1f} {end:.1f} {target:.1f}"
    canvas.path(d, "s-server1", stroke_width=1.3, marker_end=head)


def main(arguments: list[str]) -> int:
    """Draw every database of ``schemas/`` into the folder that is named; gives the exit code."""
    from harness.vocabulary import LOGICAL

    schemas, folder = Path("schemas"), Path(arguments[0] if arguments else "docs/pictures")
    try:
        for logical in LOGICAL:
            file = folder / f"schema-{logical}.svg"
            file.write_text(picture(logical, tables(schemas, logical)), "utf-8")
            print(file)
    except (DataError, OSError) as problem:
        print(f"harness.report.schemas: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
