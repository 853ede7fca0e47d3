"""The shapes of plans that were accepted, and today's held against them: a plan that has changed without anybody's wish.

A shape is what a planner decided: operators, how each table is read, by which index. Costs, times and numbers of rows are
not in it. Shapes are kept beside the pairs, ``accepted/FILE/PAIR@ENGINE-SIZE.json``, each by the server's product and major
version: another version plans otherwise, which is no regression. What nobody has accepted yet is said, not failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.plans.declared import Declared
from harness.plans.model import Node, Plan

FOLDER = "accepted"

Shape = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """Today's shapes against the accepted ones: what differs (failed), what else is to be said (not failed)."""

    wrong: tuple[str, ...] = ()
    said: str = ""


def shape(node: Node) -> Shape:
    """What of a plan is compared; empty fields are left out."""
    made: Shape = {"operator": node.operator, "access": node.access.value, "object": node.object, "index": node.index}
    made = {key: value for key, value in made.items() if value and value != "other"}
    return made | ({"children": [shape(child) for child in node.children]} if node.children else {})


def file_of(declared: Declared, engine: str, size: str) -> Path:
    """Where a pair's shapes are kept."""
    folder = declared.file.parent / FOLDER / declared.file.stem
    return folder / f"{declared.name}@{engine}-{size.replace(' ', '-')}.json"


def product_of(product: str, version: str) -> str:
    """``PostgreSQL 18``, ``SecantusDB 0.7``: while the first number is 0, the second one is the one that counts.

    >>> product_of("PostgreSQL", "18.6"), product_of("SecantusDB", "0.7.0b3")
    ('PostgreSQL 18', 'SecantusDB 0.7')
    """
    parts = version.split(".")
    return f"{product} {'.'.join(parts[:2]) if parts[0] == '0' else parts[0]}"


def hold(file: Path, product: str, before: Plan, after: Plan) -> Held:
    """Compare with what is accepted. Raises DataError if the file is none of ours."""
    kept = _read(file)
    if product not in kept:
        if not kept:
            return Held(said="no shape of this pair is accepted yet: --plans-accept keeps today's")
        return Held(said=f"not compared: accepted are shapes of {', '.join(sorted(kept))}, this is {product}")
    wrong = []
    for name, plan in (("before", before), ("after", after)):
        today = shape(plan.root)
        accepted = kept[product].get(name)
        if today != accepted:
            trees = f"accepted ({product}):\n{tree(accepted)}\ntoday:\n{tree(today)}"
            wrong.append(
                f"{name}: the plan has another shape than the accepted one (--plans-accept renews it)\n{trees}"
            )
    return Held(tuple(wrong))


def accept(file: Path, product: str, before: Plan, after: Plan) -> bool:
    """Keep today's shapes; False if they were there. Raises DataError."""
    kept = _read(file)
    today = {"before": shape(before.root), "after": shape(after.root)}
    if kept.get(product) == today:
        return False
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(dict(sorted({**kept, product: today}.items())), indent=1, ensure_ascii=False) + "\n"
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file}: the shapes cannot be kept: {error.strerror or error}") from None
    return True


def _read(file: Path) -> Mapping[str, Mapping[str, Shape]]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not accepted shapes: {error}; remove it and run with --plans-accept") from None
    if not isinstance(kept, dict) or not all(isinstance(one, dict) for one in kept.values()):
        raise DataError(f"{file}: not accepted shapes: remove it and run with --plans-accept")
    return kept


def tree(made: Shape | None, indent: str = "  ") -> str:
    """A shape as a person reads it, a line for each operator."""
    if made is None:
        return f"{indent}none"
    words = [made.get("operator", "?")]
    if made.get("object"):
        words.append(f"on {made['object']}")
    if made.get("index"):
        words.append(f"by {made['index']}")
    if made.get("access"):
        words.append(f"({made['access']})")
    lines = [indent + " ".join(words)]
    return "\n".join([*lines, *(tree(child, f"{indent}  ") for child in made.get("children", ()))])
