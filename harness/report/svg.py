"""A small canvas for SVG: shapes and text with classes, one palette for light and dark, nothing from outside.

Colours are classes (``f-`` fills, ``s-`` strokes) with plain values, so that viewers without CSS variables show them
too. They come from Okabe and Ito's set for colour-blind readers, darkened until text in them is readable; a shape,
a pattern or a symbol always says the same again.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from rich.cells import cell_len

from harness.report.columns import cut
from harness.report.words import clean

PALETTE = {
    # name: (light, dark)
    "paper": ("#ffffff", "#14181f"),
    "ink": ("#1d2433", "#e6e9ef"),
    "soft": ("#566073", "#9fabbf"),
    "faint": ("#dde2ea", "#2c3441"),
    "zebra": ("#f7f8fb", "#191e27"),
    "card": ("#ffffff", "#1f2631"),
    "edge": ("#9ca7b8", "#5a677b"),
    "band": ("#e8eff9", "#1b2940"),
    "band-edge": ("#6f93c4", "#5d83b8"),
    "band-ink": ("#2b5590", "#9dbdec"),
    "amber": ("#fff3d6", "#3a2e12"),
    "amber-ink": ("#7d5200", "#f0bd58"),
    "amber-edge": ("#c98a00", "#d99b1f"),
    "red": ("#fde9e6", "#3f1e1d"),
    "red-ink": ("#a32018", "#ff9c92"),
    "halo": ("#fbd3cd", "#5a2522"),
    "red-solid": ("#a32018", "#b8332a"),
    "orange": ("#ffe8d6", "#42280f"),
    "orange-ink": ("#984300", "#ffab6b"),
    "purple": ("#f1e8f9", "#32244a"),
    "purple-ink": ("#643293", "#cfabf5"),
    "teal": ("#00725c", "#45caa9"),
    "blue": ("#0b5cad", "#2f7fd6"),
    "red-dark": ("#8f1a13", "#8f1a13"),
    "white": ("#ffffff", "#ffffff"),
    "server1": ("#0072b2", "#56b4e9"),
    "server2": ("#b0461e", "#f0915f"),
    "server3": ("#00725c", "#45caa9"),
    "server4": ("#8a3f73", "#e59ac6"),
}

SERVERS = ("server1", "server2", "server3", "server4")
DASHES = ("", "8 4", "2 4", "10 4 2 4")
"""A server's colour and its dash belong together: whoever cannot tell the colours reads the dashes."""

SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def _style() -> str:
    rules = [
        f".psh text{{font-family:{SANS};font-size:12px;white-space:pre}}",
        f".psh .mono{{font-family:{MONO};font-size:11px}}",
        ".psh .bold{font-weight:650}.psh .small{font-size:11px}.psh .big{font-size:14px}",
        ".psh .none{fill:none}",
    ]
    light, dark = [], []
    for name, (bright, dim) in PALETTE.items():
        light.append(f".psh .f-{name}{{fill:{bright}}}.psh .s-{name}{{stroke:{bright}}}")
        dark.append(f".psh .f-{name}{{fill:{dim}}}.psh .s-{name}{{stroke:{dim}}}")
    # Paper is white: a print of a dark screen is drawn in the light colours.
    return "".join(rules + light) + "@media screen and (prefers-color-scheme:dark){" + "".join(dark) + "}"


STYLE = _style()


def text_width(text: str, size: float = 12.0, *, mono: bool = False, bold: bool = False) -> float:
    """About how wide ``text`` will be, in pixels; rather too wide than too narrow, for fonts differ."""
    return cell_len(text) * size * (0.61 if mono else 0.6 if bold else 0.57)


def fit(text: str, width: float, size: float = 12.0, *, mono: bool = False, bold: bool = False) -> str:
    """``text`` cut to about ``width`` pixels."""
    one = size * (0.61 if mono else 0.6 if bold else 0.57)
    return cut(clean(text), max(int(width / one), 1))


def _number(given: float) -> str:
    """As many digits as a screen has pixels for: ``12``, ``12.5``."""
    return f"{given:.1f}".removesuffix(".0")


def _text(said: str) -> str:
    if "&" in said:
        said = said.replace("&", "&amp;")
    if "<" in said:
        said = said.replace("<", "&lt;")
    if ">" in said:
        said = said.replace(">", "&gt;")
    return said


@lru_cache(4096)
def _attribute(name: str, given: str) -> str:
    """`` name="given"``: a picture has few different ones."""
    shown = _text(given).replace('"', "&quot;").replace("\r", "&#13;").replace("\n", "&#10;").replace("\t", "&#09;")
    return f' {name.replace("_", "-")}="{shown}"'


def _attributes(given: dict[str, float | str], cls: str) -> str:
    """Attributes as they stand in a tag; those that are empty do not."""
    said = ""
    for name, one in given.items():
        if one != "":
            said += _attribute(name, one if isinstance(one, str) else _number(one))
    return said + _attribute("class", cls) if cls else said


STYLE_ELEMENT = f"<style>{_text(STYLE)}</style>"


class Canvas:
    """Writes shapes in drawing order; :meth:`render` gives the SVG. ``key`` makes its ids its own on a page."""

    def __init__(self, title: str, description: str, key: str) -> None:
        self.prefix = "psh" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:10]
        self._title = clean(title)
        self._description = clean(description)
        self._body: list[str] = []
        self._defs: dict[str, str] = {}  # by id

    def rect(self, x: float, y: float, width: float, height: float, cls: str, **more: float | str) -> None:
        """A rectangle."""
        where = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(max(height, 0.0))}"'
        self._body.append(f"<rect {where}{_attributes(more, cls)} />")

    def circle(self, x: float, y: float, r: float, cls: str, **more: float | str) -> None:
        """A circle."""
        self._body.append(f'<circle cx="{_number(x)}" cy="{_number(y)}" r="{_number(r)}"{_attributes(more, cls)} />')

    def path(self, d: str, cls: str, **more: float | str) -> None:
        """A path; ``marker_end=canvas.arrow("teal")`` gives it a head."""
        self._body.append(f'<path d="{d}"{_attributes(more, f"none {cls}")} />')

    def text(self, x: float, y: float, said: str, cls: str = "f-ink", **more: float | str) -> None:
        """One line of text, its baseline at ``y``."""
        said = _text(clean(said))
        end = f">{said}</text>" if said else " />"
        self._body.append(f'<text x="{_number(x)}" y="{_number(y)}"{_attributes(more, cls)}{end}')

    def group(self, title: str) -> None:
        """Begin a group, which the next shapes go into until :meth:`end`; ``title`` is its tooltip."""
        self._body.append(f"<g><title>{_text(clean(title))}</title>")

    def end(self) -> None:
        """End the group."""
        self._body.append("</g>")

    def arrow(self, colour: str) -> str:
        """The head of an arrow in a colour, for ``marker_end``."""
        ident = f"{self.prefix}-arrow-{colour}"
        if ident not in self._defs:
            self._defs[ident] = (
                f'<marker id="{ident}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9"'
                ' markerUnits="userSpaceOnUse" orient="auto">'
                f'<path d="M0 0.8 L10 5 L0 9.2 Z" class="f-{colour}" /></marker>'
            )
        return f"url(#{ident})"

    def hatch(self) -> str:
        """Amber hatching, for ``fill``: somebody waits."""
        ident = f"{self.prefix}-hatch"
        if ident not in self._defs:
            self._defs[ident] = (
                f'<pattern id="{ident}" width="7" height="7" patternUnits="userSpaceOnUse"'
                ' patternTransform="rotate(45)"><rect width="7" height="7" class="f-amber" />'
                '<rect width="3" height="7" class="f-amber-edge" /></pattern>'
            )
        return f"url(#{ident})"

    def badge(self, x: float, y: float, mark: str, *, inverse: bool = False) -> float:
        """A mark (A1, D1) whose right edge is at ``x`` and whose baseline is ``y``; returns its width."""
        width = 10 + 7.2 * len(mark)
        colour, radius = ("red-solid", 2.0) if mark.startswith("D") else ("blue", 7.5)
        ground, ink = ("white", "red-dark") if inverse else (colour, "white")
        self.rect(x - width, y - 11, width, 15, f"f-{ground}", rx=radius)
        self.text(x - width / 2, y, mark, f"f-{ink} bold small", text_anchor="middle")
        return width

    def render(self, width: float, height: float) -> str:
        """The whole drawing as text."""
        defs = f"<defs>{''.join(self._defs.values())}</defs>" if self._defs else "<defs />"
        body = f"<g>{''.join(self._body)}</g>" if self._body else "<g />"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
            f' width="{width:.0f}" height="{height:.0f}" role="img"'
            f' aria-labelledby="{self.prefix}-title {self.prefix}-desc" class="psh">'
            f'<title id="{self.prefix}-title">{_text(self._title)}</title>'
            f'<desc id="{self.prefix}-desc">{_text(self._description)}</desc>'
            f'{STYLE_ELEMENT}{defs}<rect width="100%" height="100%" class="f-paper" />{body}</svg>'
        )
