"""What the checker says of a history: for the terminal, in plain characters, and as a page of its own with pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from markupsafe import Markup
from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.evidence.checker.levels import LATTICE
from harness.evidence.checker.model import Found, Observed, Report
from harness.report import assets, words
from harness.report.cycles import cycle_svg
from harness.report.page import environment
from harness.report.svg import STYLE_ELEMENT
from harness.terminal import tell

_MOST_NOTES = 40
_UNWRAPPED = 100_000  # columns

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}"><title>{{ title | clean }}</title>
<style>{{ style }}</style></head>
<body><main><h1>{{ title | clean }}</h1>
<p class="soft">{{ size | clean }}</p>
<div class="counts"><span class="badge {{ 'passed' if report.clean else 'failed' }}">{{ verdict | clean }}</span></div>
<section class="card">
<h2 class="first">Levels</h2>
<dl class="levels">
<dt>Excluded</dt><dd>{{ excluded | clean }}</dd>
<dt>The strongest that are possible</dt><dd>{{ possible | clean }}</dd>
</dl>
{% if report.counts %}
<h2>Anomalies</h2>
<div class="scroll"><table class="anomalies"><thead><tr><th>Name</th><th>What it is</th><th class="number">How many</th>
<th class="number">Told below</th></tr></thead><tbody>
{% for name, called, count, told in rows %}
<tr><td><code>{{ name | clean }}</code></td><td>{{ called | clean }}</td><td class="number">{{ '{:,}'.format(count) }}</td>
<td class="number">{% if told %}<a href="#found-{{ told[0] }}">{{ told | length }}</a>{% else %}0{% endif %}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% if report.edges %}
<h2>Dependencies</h2>
<p>{{ edges | clean }}</p>
{% endif %}
{% if notes %}
<h2>What could not be told</h2>
<ul>{% for note in notes %}<li>{{ note | clean }}</li>{% endfor %}</ul>
{% endif %}
</section>
{% for one, headline, picture in found %}
<h2 id="found-{{ loop.index }}">{{ loop.index }}. {{ headline | clean }}</h2>
<article class="failed">
<figure>{{ picture }}</figure>
<ul class="proof told">{% for line in one.proof %}<li>{{ line | clean }}</li>{% endfor %}</ul>
</article>
{% endfor %}
</main></body></html>
"""
_STYLE = (
    ".proof.told li{white-space:pre-wrap;overflow-wrap:anywhere;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"
    "'DejaVu Sans Mono',monospace;font-size:.82rem}h2.first{margin-top:0}.levels dt{max-width:16rem}"
    "td.number,th.number{text-align:right}.anomalies{max-width:52rem}figure{padding:4px}article{content-visibility:visible}"
)


def verdict(report: Report) -> str:
    """A check in one line: ``✓ nothing was found in 500 transactions``, ``✗ 3 G-single, 12 G2-item``."""
    if report.clean:
        return f"✓ nothing was found in {report.transactions:,} transactions"
    return "✗ " + ", ".join(f"{count:,} {name}" for name, count in report.counts.items())


def size(report: Report) -> str:
    """How much was checked, in one line."""
    parts = [
        f"{report.ok:,} committed",
        f"{report.failed:,} failed" if report.failed else "",
        f"of {report.info:,} nobody knows" if report.info else "",
    ]
    how = ", ".join(part for part in parts if part)
    return (
        f"{report.workload.value}: {report.transactions:,} transactions ({how}), {report.operations:,} micro-operations"
    )


def report_renderable(report: Report) -> RenderableType:
    """For ``console.print``: what was checked, the levels, every anomaly's number, and the examples with their proofs."""
    style = "bold green" if report.clean else "bold red"
    parts: list[RenderableType] = [
        Text(words.one_line(report.source) or "a history", style="bold"),
        Text(size(report), style="dim"),
        Text(verdict(report), style=style),
        Text(),
        _facts(report),
    ]
    if report.counts:
        parts += [Text(), _counts(report)]
    for number, one in enumerate(report.found, 1):
        parts += [Text(), Text(f"{number}. {_headline(one)}", style="bold")]
        parts += [Padding(Text(_without_long_lists(words.clean(line))), (0, 0, 0, 3)) for line in one.proof]
    if report.notes:
        parts += [Text(), *(Text(f"note: {words.one_line(note)}", style="dim") for note in _notes(report))]
    return Group(*parts)


def print_report(where: Console, report: Report) -> None:
    """Show it; in a pipe no line is wrapped, so that who searches for a proof's words finds them."""
    if where.is_terminal:
        where.print(report_renderable(report))
    else:
        tell(report_text(report, width=_UNWRAPPED).rstrip("\n"))


def report_text(report: Report, width: int = 110) -> str:
    """All of :func:`report_renderable` in plain characters."""
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, force_terminal=False).print(report_renderable(report))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def report_html(report: Report, observed: Observed) -> str:
    """A page that opens from disk: counts, levels, each anomaly with its picture and its proof; nothing from outside."""
    style = assets.style() + _STYLE
    places: dict[str, list[int]] = {}
    for number, one in enumerate(report.found, 1):
        places.setdefault(one.name, []).append(number)
    titles = _titles(report)
    rows = [(name, titles.get(name, ""), count, places.get(name, [])) for name, count in report.counts.items()]
    return (
        environment()
        .from_string(_PAGE)
        .render(
            report=report,
            title=f"Check of {words.one_line(report.source) or 'a history'}",
            size=size(report),
            verdict=verdict(report),
            excluded=_levels(report.excluded),
            possible=_levels(report.possible),
            rows=rows,
            edges=_edges(report),
            notes=_notes(report),
            found=[(one, _headline(one), _picture(one, observed)) for one in report.found],
            style=Markup(style),
            policy=assets.policy([], [style]),
        )
    )


def _picture(one: Found, observed: Observed) -> Markup:
    """A picture as it goes into a page, which has its style already. All text in it was escaped by the canvas."""
    return Markup(cycle_svg(one, observed).replace(STYLE_ELEMENT, "", 1))


def _titles(report: Report) -> dict[str, str]:
    return {one.name: one.title for one in report.found}


def _headline(one: Found) -> str:
    return words.one_line(f"{one.name}: {one.title}" if one.title else one.name)


_LONG_LIST = re.compile(r"\[([^\[\]]{30})[^\[\]]{60,}?( [^\[\]]{20,60})\]")


def _without_long_lists(line: str) -> str:
    """A line whose long lists have their ends only: a terminal is no place for a list of a thousand elements."""
    return _LONG_LIST.sub(r"[\1 …\2]", line)


def _levels(levels: Sequence[str]) -> str:
    """Levels by name. Twenty-five of them would hide that nothing is left."""
    return "all, even read uncommitted" if set(LATTICE) <= set(levels) else ", ".join(levels) or "none"


def _edges(report: Report) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in report.edges.items())


def _notes(report: Report) -> list[str]:
    left = len(report.notes) - _MOST_NOTES
    return report.notes[:_MOST_NOTES] + ([f"… and {left:,} more"] if left > 0 else [])


def _facts(report: Report) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("excluded levels", Text(_levels(report.excluded)))
    facts.add_row("possible at most", Text(_levels(report.possible)))
    if report.edges:
        facts.add_row("dependencies", Text(_edges(report)))
    return facts


def _counts(report: Report) -> RenderableType:
    titles = _titles(report)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("anomaly", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    table.add_column("how many", justify="right")
    for name, count in report.counts.items():
        table.add_row(Text(name), Text(words.one_line(titles.get(name, ""))), f"{count:,}")
    return table
