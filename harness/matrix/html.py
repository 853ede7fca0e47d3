"""The matrix as one HTML page that opens from disk: nothing from outside; each cell leads to what decided it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.matrix import words
from harness.matrix.compare import lines
from harness.matrix.hermitage import CREDIT
from harness.matrix.markdown import said
from harness.matrix.model import NOT_RUN, Matrix
from harness.report import assets
from harness.report.words import clean
from harness.vocabulary import HERMITAGE

MEANING = {
    "G0": "write cycle",
    "G1a": "aborted read",
    "G1b": "intermediate read",
    "G1c": "circular information flow",
    "OTV": "observed transaction vanishes",
    "PMP": "predicate-many-preceders",
    "P4": "lost update",
    "G-single": "read skew",
    "G2-item": "write skew",
    "G2": "anti-dependency cycle",
}
"""The columns' names in words."""


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("harness.matrix"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clean"] = clean
    return made


def matrix_html(matrix: Matrix, base: str = "") -> str:
    """The page of a run's matrix, which lies in the run's folder, or where ``base`` leads there.

    Everything that came from a server or a scenario is escaped by the template.
    """
    own = (resources.files("harness.matrix") / "templates" / "matrix.css").read_text("utf-8")
    style = assets.style() + own
    return (
        _environment()
        .get_template("matrix.html.j2")
        .render(
            matrix=matrix,
            base=f"{base.replace(os.sep, '/').rstrip('/')}/" if base else "",
            anomalies=HERMITAGE,
            meaning=MEANING,
            words=words,
            said=said,
            not_run=NOT_RUN,
            credit=CREDIT,
            compared=list(_lines(matrix)),
            policy=assets.policy([assets.FIRST], [style]),
            style=Markup(style),  # our own, no text of others in it
            first=Markup(assets.FIRST),
        )
    )


def _lines(matrix: Matrix) -> Iterator[tuple[bool, str]]:
    """The comparison's lines, and whether each belongs to the one above."""
    for line in lines(matrix):
        yield line.startswith(" "), line.strip()
