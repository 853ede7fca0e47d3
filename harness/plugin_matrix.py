"""pytest's door for the isolation matrix: the table after the run, if cases with ``matrix:`` ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The owner of the run shows what it has written; workers of pytest-xdist write evidence only."""
    from harness.plugin import PAGE, SUITE, short

    page = config.stash.get(PAGE, None)
    if not isinstance(page, Path) or not config.stash[SUITE].owner:
        return
    from harness.matrix.stored import HTML, read_matrix

    try:
        matrix = read_matrix(page.parent)
    except HarnessError as error:
        terminalreporter.write_line(f"promptsales-harness: {error}", red=True)
        return
    if matrix is None:
        return
    from harness.matrix.text import matrix_text

    terminalreporter.section("isolation matrix")
    for line in matrix_text(matrix, max(terminalreporter._tw.fullwidth, 80)).splitlines():
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"matrix: {short(page.parent / HTML, config)}")
