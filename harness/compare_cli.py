"""``harness compare RUN RUN``: what is different, in the terminal or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import StoreError
from harness.terminal import console as make_console
from harness.terminal import progress, say, short


def compare(
    before: Annotated[str, typer.Argument(metavar="RUN", help="the older run: its id or folder")],
    after: Annotated[str, typer.Argument(metavar="RUN", help="the newer one; 'latest' if none is named")] = "latest",
    results: Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder where evidence is kept")] = Path(
        "results"
    ),
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="write it as a page, too")] = None,
) -> None:
    """Say what is different between two runs. Exit code 1 if something got worse."""
    from harness.evidence.store import find_run
    from harness.report.compare import compare as differences_of
    from harness.report.differences import differences_html, differences_renderable

    folders = find_run(results, before), find_run(results, after)
    with progress("reading both runs"):
        made = differences_of(*folders)
    console = make_console()
    console.print(differences_renderable(made))
    if html is not None:
        try:
            html.write_text(differences_html(made), "utf-8")
        except OSError as error:
            raise StoreError(f"{html} cannot be written: {error.strerror or error}") from None
        say(console, f"page: {short(html)}")
    raise typer.Exit(1 if made.worse else 0)
