"""A stored run, tabulated: read from ``results/<run>/*/evidence.json``, kept as ``matrix.json``, ``.md``, ``.html``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from harness.errors import StoreError
from harness.evidence.model import Evidence
from harness.evidence.store import EVIDENCE, Store, read_evidence
from harness.matrix.cells import tabulate
from harness.matrix.model import Matrix

JSON, MARKDOWN, HTML = "matrix.json", "matrix.md", "matrix.html"


def matrix_of(folder: Path) -> Matrix:
    """The matrix of the run in ``folder``, from its evidence; without rows if no case of it is of a cell.

    Raises StoreError.
    """
    return tabulate(_evidences(folder), folder.name)


def _evidences(folder: Path) -> Iterator[tuple[Evidence, str]]:
    for file in sorted(folder.glob(f"*/{EVIDENCE}")):
        evidence = read_evidence(file)
        if evidence.history.matrix is not None:
            yield evidence, f"{file.parent.name}/{EVIDENCE}"


def write_matrix(folder: Path) -> Matrix:
    """Tabulate the run in ``folder`` and write its three files there. Raises StoreError."""
    from harness.matrix.html import matrix_html  # jinja2: only who writes needs it
    from harness.matrix.markdown import matrix_markdown

    matrix = matrix_of(folder)
    if matrix.rows or matrix.missing:
        store = Store(folder.parent, folder.name)
        store.write(JSON, matrix.model_dump_json(indent=1, exclude_defaults=True))
        store.write(MARKDOWN, matrix_markdown(matrix))
        store.write(HTML, matrix_html(matrix))
    return matrix


def read_matrix(folder: Path) -> Matrix | None:
    """What :func:`write_matrix` has written; None if it has not. Raises StoreError."""
    file = folder / JSON
    try:
        return Matrix.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        first = str(error).partition("\n")[0]
        raise StoreError(f"{file} cannot be read: {first}") from None
