"""What the page carries in itself: styles, scripts, their hashes for its content security policy, data for scripts."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

from markupsafe import Markup

from harness.report.svg import MONO, PALETTE, SANS

_COLOURS = {
    # name: (light, dark); of text on paper at least 4.5:1, as WCAG AA asks
    "paper": ("#fff", "#14181f"),
    "ink": ("#1d2433", "#e6e9ef"),
    "soft": ("#566073", "#9fabbf"),
    "line": ("#dde2ea", "#2c3441"),
    "ground": ("#f5f6f9", "#0e1117"),
    "link": ("#0b5cad", "#7db8ff"),
    "passed": ("#00644f", "#5fd6b6"),
    "passed-bg": ("#e3f3ee", "#12302a"),
    "failed": ("#a32018", "#ff9c92"),
    "failed-bg": ("#fde9e6", "#3f1e1d"),
    "error": ("#643293", "#cfabf5"),
    "error-bg": ("#f1e8f9", "#32244a"),
    "amber": ("#7d5200", "#f0bd58"),
    "amber-bg": ("#fff3d6", "#3a2e12"),
    # lines of charts: Okabe and Ito's, darkened or lightened until they stand out from the paper by 3:1
    "c0": ("#0072b2", "#56b4e9"),
    "c1": ("#b0461e", "#f0915f"),
    "c2": ("#00725c", "#45caa9"),
    "c3": ("#8a3f73", "#e59ac6"),
    "c4": ("#7d5200", "#f0bd58"),
    "c5": ("#4b3fb5", "#a9a1ff"),
    "c6": ("#566073", "#9fabbf"),
    "c7": ("#a32018", "#ff9c92"),
}


def _themed() -> str:
    """Colours as variables: light, dark where the system or the toggle says so, and light again on paper."""
    names = {name: pair for name, pair in _COLOURS.items()} | {f"p-{name}": pair for name, pair in PALETTE.items()}
    light = "".join(f"--{name}:{pair[0]};" for name, pair in names.items())
    dark = "color-scheme:dark;" + "".join(f"--{name}:{pair[1]};" for name, pair in names.items())
    return (
        f":root{{color-scheme:light;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f"@media screen{{:root[data-theme=dark]{{{dark}}}}}"
    )


def _pictures() -> str:
    """The pictures' own classes (harness.report.svg), by the page's variables: so the toggle reaches them too."""
    rules = [
        f".psh text{{font-family:{SANS};font-size:12px;white-space:pre}}",
        f".psh .mono{{font-family:{MONO};font-size:11px}}",
        ".psh .bold{font-weight:650}.psh .small{font-size:11px}.psh .big{font-size:14px}.psh .none{fill:none}",
    ]
    rules += [f".psh .f-{name}{{fill:var(--p-{name})}}.psh .s-{name}{{stroke:var(--p-{name})}}" for name in PALETTE]
    return "".join(rules)


def _chart_lines() -> str:
    return "".join(f".chart .c{i}{{stroke:var(--c{i})}}.etl-picture .c{i}{{fill:var(--c{i})}}" for i in range(8))


def _file(name: str) -> str:
    return (resources.files("harness.report") / "templates" / name).read_text("utf-8")


@cache
def style() -> str:
    """The page's style sheet."""
    return _themed() + _pictures() + _chart_lines() + "\n" + _file("report.css")


FIRST = (
    "(function(r){r.className='js';try{var t=localStorage.getItem('psh-theme');if(t)r.dataset.theme=t}catch(e){}})"
    "(document.documentElement)"
)
"""Runs before anything is shown: says that there is a script, and takes the theme that was chosen before."""


@cache
def script(*names: str) -> str:
    """The page's script, of these files."""
    return "\n".join(_file(name) for name in names)


def policy(scripts: list[str], styles: list[str]) -> str:
    """A content security policy that lets nothing in and runs these texts only."""
    allowed = f"default-src 'none'; style-src {' '.join(map(_hash, styles))}"
    ours = f"; script-src {' '.join(map(_hash, scripts))}" if scripts else ""
    return f"{allowed}{ours}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def island(data: Any) -> Markup:
    """Data for a ``<script type="application/json">``: nothing in it can end the element or a line of script.

    >>> island("</script>\\u2028&")
    Markup('"\\\\u003c/script\\\\u003e\\\\u2028\\\\u0026"')
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # escaped above
