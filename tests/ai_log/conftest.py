from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.ai_log.model import Call
from harness.sso.model import Caller

PAGE = Path(__file__).parents[2] / "docs/AI_LOG.md"

Make = Callable[..., Call]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The project's page with its two tables empty."""
    text = PAGE.read_text("utf-8")
    by_hand, rest = text.split("## De los servidores MCP", 1)
    head = by_hand[: by_hand.index("|--------|------------|") + len("|--------|------------|")]
    explained = rest[: rest.index("<!-- ai-log:mcp")]
    file = tmp_path / "AI_LOG.md"
    file.write_text(
        f"{head}\n\n## De los servidores MCP{explained}<!-- ai-log:mcp -->\n"
        "| Fecha | Nombre | Prompt | Validación |\n|-------|--------|--------|------------|\n\n"
        "Ancla / Anchor: ninguna todavía / none yet\n<!-- ai-log:end -->\n",
        "utf-8",
    )
    return file


@pytest.fixture
def make_call() -> Make:
    """A call with some values of its own."""

    def made(name: str = "ana@example.com", **changed: Any) -> Call:
        values: dict[str, Any] = {
            "server": "promptads",
            "method": "tools/call",
            "target": "active_campaigns",
            "caller": Caller("1", name, frozenset(), "claude"),
            "arguments": {"limit": 20},
            "outcome": "ok",
            "rows": 20,
            "milliseconds": 3.1,
            "answer_sha256": "ab" * 32,
            "error": None,
        }
        return Call(**values | changed)

    return made
