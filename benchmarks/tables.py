"""Where a benchmark's table goes: between two marks of a page."""

from __future__ import annotations

from pathlib import Path


def renew(page: Path, name: str, table: str) -> None:
    """Put ``table`` (Markdown) between the page's lines ``<!-- name -->`` and ``<!-- end -->``; the rest stays as it is."""
    mark, end = f"<!-- {name} -->", "<!-- end -->"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(mark)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{mark}\n{table}\n{end}{after}", encoding="utf-8")
