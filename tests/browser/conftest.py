"""A report in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from report.beside import hostile_load, hostile_pair, hostile_series, kept_run, thousand, two_runs
from report.samples import nasty

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, for as long as tests of one module want it: see :func:`chromium.chromium`."""
    with chromium() as made:
        yield made


class Watched:
    """A page, and what went wrong on it."""

    def __init__(self, page: Any, file: Path) -> None:
        self.page = page
        self.url = file.as_uri()
        self.troubles: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self.url)

    def _dialog(self, dialog: Any) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def show(self, view: str) -> Any:
        """Go to a view, as its address says; gives its element."""
        self.page.evaluate("hash => { location.hash = hash }", f"#{view}")
        self.page.wait_for_selector(f"#{view}.now")
        return self.page.locator(f"#{view}")

    @property
    def views(self) -> list[str]:
        """The ids of all views."""
        found: list[str] = self.page.evaluate("[...document.querySelectorAll('[data-view]')].map(v => v.id)")
        return found


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Opens a report: ``opened(file, width=375, dark=True, script=False)``."""
    contexts = []

    def open_(file: Path, *, width: int = 1300, dark: bool = False, script: bool = True) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        contexts.append(context)
        return Watched(context.new_page(), file)

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of everything: cases, plans, load, a monitor's series, a run before."""
    return two_runs(tmp_path_factory.mktemp("runs")) / "report.html"


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose every text wants out of its place."""
    folder = kept_run(
        tmp_path_factory.mktemp("hostile"),
        "r1",
        [nasty()],
        loads=[hostile_load()],
        watched=[hostile_series()],
        pairs=[hostile_pair()],
    )
    return folder / "report.html"


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of 1,000 cases."""
    return thousand(tmp_path_factory.mktemp("large")) / "report.html"
