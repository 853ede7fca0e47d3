"""``harness compare RUN RUN``: what is different, in the terminal or as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import StoreError
from harness.terminal import console as make_console
from harness.terminal import progress, say, short


def compare(
    before: Annotated[str, typer.Argument(metavar="RUN", help="the older run; if none is named, the one before")] = "",
    after: Annotated[str, typer.Argument(metavar="RUN", help="the newer one; if none is named, the latest")] = "latest",
    results: Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder where evidence is kept")] = Path(
        "results"
    ),
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="write it as a page, too")] = None,
) -> None:
    """Say what is different between two runs. Exit code 1 if something got worse."""
    from harness.evidence.store import find_run
    from harness.report.compare import compare as differences_of
    from harness.report.compare import previous
    from harness.report.differences import differences_html, differences_renderable

    console = make_console()
    newer = find_run(results, after)
    older = find_run(results, before) if before else previous(newer)
    if older is None:
        say(console, f"{newer.name} is the first run in {short(newer.parent)}: there is nothing to compare it with")
        raise typer.Exit(0)
    with progress("reading both runs"):
        made = differences_of(older, newer)
    console.print(differences_renderable(made))
    if html is not None:
        try:
            html.write_text(differences_html(made), "utf-8")
        except OSError as error:
            raise StoreError(f"{html} cannot be written: {error.strerror or error}") from None
        say(console, f"page: {short(html)}")
    raise typer.Exit(1 if made.worse else 0)
