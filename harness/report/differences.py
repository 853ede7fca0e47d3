"""The differences of two runs for the terminal, and as a page of their own."""

from __future__ import annotations

from markupsafe import Markup
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.report import assets, words
from harness.report.compare import Change, Differences
from harness.report.page import environment

_MARKS = {True: ("worse", "bold red"), False: ("better", "green"), None: ("", "dim")}

_PAGE = """{% from "changes.html.j2" import differences with context %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}"><title>{{ title | clean }}</title>
<style>{{ style }}</style></head>
<body><main><h1>{{ title | clean }}</h1><section class="card">{{ differences(changes) }}</section></main></body></html>
"""


def differences_renderable(made: Differences) -> RenderableType:
    """For ``console.print``: a table for each part, and how much of it is worse."""
    parts: list[RenderableType] = [Text(f"{made.before} → {made.after}", style="bold")]
    for title, changes in made.sections:
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for head in ("", "what", "of it", "before", "now"):
            table.add_column(head, overflow="fold")
        for one in changes:
            table.add_row(*_cells(one))
        parts += [Text(), table]
    parts += [Text(note, style="dim") for note in made.notes]
    parts.append(Text())
    others = len(made.changes) - made.worse - made.better
    same = f"{words.counted(made.same, 'case')} as before"
    parts.append(Text(f"{made.worse} worse, {made.better} better, {others} otherwise different; {same}"))
    return Group(*parts)


def _cells(one: Change) -> list[Text]:
    mark, style = _MARKS[one.worse]
    texts = [words.one_line(text) for text in (one.what, one.kind, one.before, one.after)]
    return [Text(mark, style=style), *map(Text, texts)]


def differences_html(made: Differences) -> str:
    """A page of them: no script, nothing from outside."""
    title = f"Run {made.after} beside {made.before}"
    style = assets.style()
    template = environment().from_string(_PAGE, globals={"linked": False})
    return template.render(changes=made, title=title, style=Markup(style), policy=assets.policy([], [style]))
