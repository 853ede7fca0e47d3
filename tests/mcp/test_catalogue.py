"""What every tool, resource and prompt must have, whoever wrote it; and the table of the documents."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import DataError
from harness.mcp.catalogue import Offer, as_markdown, as_plain, as_table, offers
from harness.mcp.model import STEWARDS, ToolSpec
from harness.mcp.opening import TOOLSETS

pytestmark = pytest.mark.mcp

ALL = offers(["all"])
DOCS = Path(__file__).resolve().parents[2] / "docs" / "mcp.md"


def schemas(schema: dict[str, Any], root: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and all within it, references followed."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    yield where, schema
    for key in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(key, []):
            yield from schemas(one, root, where)
    if "items" in schema:
        yield from schemas(schema["items"], root, f"{where}[]")
    for name, one in schema.get("properties", {}).items():
        yield from schemas(one, root, f"{where}.{name}")


def named(offer: Offer) -> str:
    return f"{offer.server}-{re.sub(r'[^a-z_]+', '-', offer.name)}"


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_each_argument_is_bounded(offer: Offer) -> None:
    unbounded = []
    for where, schema in schemas(offer.arguments, offer.arguments, ""):
        kind = schema.get("type")
        if kind == "string" and not ({"maxLength", "enum", "const"} & set(schema) or schema.get("format") == "date"):
            unbounded.append(f"{where}: no maxLength")
        if kind in ("integer", "number") and not (
            {"minimum", "exclusiveMinimum"} & set(schema) and {"maximum", "exclusiveMaximum"} & set(schema)
        ):
            unbounded.append(f"{where}: no bounds")
        if kind == "array" and "maxItems" not in schema:
            unbounded.append(f"{where}: no maxItems")
    assert not unbounded


@pytest.mark.parametrize("offer", ALL, ids=named)
def test_each_is_described(offer: Offer) -> None:
    assert offer.sentence
    assert offer.spec.title
    assert offer.spec.roles
    undescribed = [
        name for name, schema in offer.arguments.get("properties", {}).items() if not schema.get("description")
    ]
    assert offer.kind != "tool" or not undescribed
    if offer.kind == "tool":
        assert offer.answer is not None
        assert offer.answer["type"] == "object"


@pytest.mark.parametrize("name", TOOLSETS)
def test_each_server_offers_at_least_two_tools(name: str) -> None:
    tools = [one for one in ALL if one.server == name and one.kind == "tool"]
    assert len(tools) >= 2
    assert [one for one in ALL if one.server == name and one.kind == "resource"]
    assert [one for one in ALL if one.server == name and one.kind == "prompt"]


@pytest.mark.parametrize("offer", [one for one in ALL if one.kind == "tool"], ids=named)
def test_a_list_has_pages(offer: Offer) -> None:
    given = set((offer.answer or {}).get("properties", {}))
    takes = set(offer.arguments.get("properties", {}))
    if "next_cursor" in given:
        assert {"limit", "cursor"} <= takes
    if "cursor" in takes:
        assert "next_cursor" in given


def test_a_secret_argument_is_an_argument() -> None:
    for offer in ALL:
        if isinstance(offer.spec, ToolSpec):
            assert offer.spec.secrets <= set(offer.arguments.get("properties", {})), offer.name


def test_only_runs_change_something() -> None:
    changing = [one.name for one in ALL if isinstance(one.spec, ToolSpec) and one.spec.changes]
    assert changing == ["run_scenario"]


def test_who_looks_for_a_person_is_a_steward() -> None:
    found = [one for one in ALL if isinstance(one.spec, ToolSpec) and one.spec.secrets]
    assert found
    assert all(one.spec.roles <= STEWARDS for one in found)


def test_the_table_of_the_documents_is_what_the_servers_offer() -> None:
    text = DOCS.read_text(encoding="utf-8")
    begin, end = "<!-- harness mcp tools --markdown -->\n", "\n<!-- end -->"
    inside = text.partition(begin)[2].partition(end)[0]
    assert inside == as_markdown(ALL), "renew it: harness mcp tools --markdown"


def test_texts() -> None:
    assert len(list(as_table(ALL))) == len(TOOLSETS)
    shown = io.StringIO()
    for table in as_table(ALL):
        Console(file=shown, width=240).print(table)
    for one in ALL:
        assert one.name in shown.getvalue()
    assert "[limit], [cursor]" in shown.getvalue()
    plain = as_plain(ALL)
    assert [one["name"] for one in plain] == [one.name for one in ALL]
    assert all(isinstance(one["answer"], dict) for one in plain if one["kind"] == "tool")


def test_a_server_that_there_is_not() -> None:
    with pytest.raises(DataError, match="there is no server 'promptad', did you mean 'promptads'"):
        offers(["promptad"])
