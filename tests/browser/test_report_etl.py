"""The ETL's part of the report in a browser: opened, narrow, by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report.etls import sample

from harness.report.page import Extras, report_html


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "report.html"
    file.write_text(report_html({"run": "1"}, [], extras=Extras(etl=[sample()])), "utf-8")
    return file


@pytest.mark.parametrize("width", [1300, 380])
def test_its_view_opens_and_fits(opened: Callable[..., Any], page: Path, width: int) -> None:
    seen = opened(page)
    seen.page.set_viewport_size({"width": width, "height": 800})
    view = seen.show("etl-1")
    assert view.locator("svg.rounds").is_visible()
    assert seen.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert view.locator(".scroll").first.evaluate("e => e.tabIndex === 0")
    fill = view.locator("svg.rounds rect.c1").first.evaluate("e => getComputedStyle(e).fill")
    assert fill not in ("none", "rgb(0, 0, 0)"), "the bars have their colour although the policy lets in no style"
    assert seen.troubles == []
    assert seen.requests == [seen.url]
