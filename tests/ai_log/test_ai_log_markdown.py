"""The table in Markdown: hostile texts stay texts, whoever reads the page; and pages are read as they are written."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

import pytest
from markdown_it import MarkdownIt

from harness.ai_log.markdown import (
    HEADER,
    NO_ANCHOR,
    RULER,
    Filter,
    anchor_line,
    anchor_of,
    cell,
    cells_of,
    entry_row,
    filter_of,
    lines_of,
    plain,
    row,
    seen,
)
from harness.ai_log.model import Anchor, Entry
from harness.ai_log.secrets import masked, secrets_in

pytestmark = pytest.mark.mcp

ENTRY = Entry(
    "00" * 32, 12, "2026-01-31T23:59:59.000001Z", "w", "promptads", "tools/call", "active_campaigns", "7c1",
    "ana@example.com", "claude", None, None, '{"limit": 20, "word": "é"}', "ok", "20", "3.100", "1a2b3c4d5e6f" + "0" * 52,
    None, "ff" * 32,
)  # fmt: skip

HOSTILE = [
    "a | b || c",
    "\\| \\\\| \\",
    "`code` ``two`` `",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "<!-- ai-log:end -->",
    "a\nb\r\n| 2026-01-01 | x | y | z |\n",
    "**bold** _em_ ~~gone~~ __x__ *",
    "[link](javascript:alert(1)) ![img](http://x) [ref]: y",
    "http://evil.example https://evil.example www.evil.example ftp://x",
    "&lt;b&gt; &amp; &#124; &copy;",
    "\u202eesrever\u202c \u200bzero \ufeff \u2028 \x1b[31mred\x07\x00",
    "$x^2$ @user #12 :smile: {{ liquid }}",
    "# heading",
    "- list",
    "```",
    "Ancla / Anchor: 7",
    "",
    "   ",
    "-",
    "x" * 5000,
    "\\" * 300,
    "|" * 300,
    "=cmd()",
]


def rendered(line: str) -> list[str]:
    """The cells of a row as a reader of GitHub's kind of Markdown shows them. Fails if there is anything but text."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(f"{HEADER}\n{RULER}\n{line}\n\nafter\n")
    kinds = [token.type for token in tokens]
    assert kinds.count("tbody_open") == 1
    assert kinds.count("tr_open") == 2, "the row is one row"
    inline = [token for token in tokens if token.type == "inline"]
    assert inline[-1].content == "after"
    cells = inline[4:-1]
    assert len(cells) == 4
    for one in cells:
        assert {child.type for child in one.children} <= {"text", "text_special"}, one.content
    return ["".join(child.content for child in one.children) for one in cells]


def hostile() -> list[str]:
    made = random.Random(7)
    letters = "|\\`*_[]()<>~$&@{}:/.w!#-+ \n\té\u202e\0'\"=a1"
    return HOSTILE + ["".join(made.choice(letters) for _ in range(made.randint(1, 60))) for _ in range(2000)]


def test_hostile_texts_are_shown_as_they_are_and_read_back() -> None:
    for text in hostile():
        line = row(("2026-01-01", cell(text), cell(text, 9), cell(f"x{text}")))
        assert "\n" not in line
        expected = ["2026-01-01", *(shown or "-" for shown in (seen(text), seen(text, 9))), seen(f"x{text}")]
        assert [part.strip() for part in rendered(line)] == [part.strip() for part in expected]
        assert [plain(part) for _, part in cells_of(line)] == [part.strip() for part in expected]
        assert [one.kind for one in lines_of([HEADER, RULER, line])] == ["header", "ruler", "row"]


def test_links_do_not_make_themselves() -> None:
    for text in ("http://evil.example", "HTTPS://evil.example", "www.evil.example", "see WWW.evil.example/x"):
        written = cell(text)
        assert "\\://" in written or "\\." in written  # what GitHub looks for is not in the line
        assert "www." not in written.lower()
        assert plain(written) == text
        assert text in MarkdownIt("commonmark").render(written)


def test_an_entry() -> None:
    assert entry_row(ENTRY) == (
        '| 2026-01-31 23:59:59 | ana\\@example.com | promptads.active_campaigns(limit=20, word="é") '
        "| ok, 20 rows, 3.1 ms, SHA-256 1a2b3c4d5e6f…, entry 12 |"
    )


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"method": "resources/read", "target": "promptsales://schema"}, "promptads: promptsales\\://schema"),
        ({"method": "prompts/get", "target": "monthly_review"}, "prompt promptads.monthly_review"),
        ({"outcome": "refused", "error": "no | campaign", "rows": None}, "refused (no \\| campaign), 3.1 ms"),
        ({"rows": "1", "milliseconds": "0.000"}, "ok, 1 row, 0 ms"),
        ({"milliseconds": "100.000"}, "100 ms"),
        ({"arguments": "[1]"}, "active_campaigns(\\[1\\])"),
        ({"arguments": "{"}, "active_campaigns(\\{)"),
        ({"arguments": '{"a": "' + "x" * 900 + '"}'}, "x… | ok"),
        ({"error": "x" * 1999}, "…), 20 rows, 3.1 ms, SHA-256 1a2b3c4d5e6f…, entry 12 |"),
        ({"name": "<b>"}, "| \\<b\\> |"),
        ({"answer_sha256": None}, "3.1 ms, entry 12 |"),
    ],
)
def test_entries_of_other_kinds(changed: dict[str, str | None], shown: str) -> None:
    line = entry_row(replace(ENTRY, **changed))
    assert shown in line
    rendered(line)


def test_secrets_in_arguments_are_masked() -> None:
    line = entry_row(
        replace(ENTRY, arguments='{"url": "postgresql://ana:sesame@db/x", "t": "eyJhbGciOi.eyJzdWIi.c2ln"}')
    )
    assert "sesame" not in line
    assert "eyJ" not in line
    assert list(secrets_in(line)) == []


@pytest.mark.parametrize(
    "text",
    [
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "sk-proj-0123456789abcdef01234567",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
        "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "postgresql://ana:sesame@db/x",
        "mongodb://ana:se%40same@db",
        "redis://:sesame@localhost:6379/0",
        "password=sesame",
        '"password": "sesame"',
        "api_key='0123456789'",
        "contraseña=abcdefg",
        "Authorization: Bearer abcdefghijklmnop0123",
    ],
)
def test_what_looks_like_a_secret(text: str) -> None:
    for written in (text, f"see {text} there", cell(f"see {text} there")):
        assert len(list(secrets_in(written))) == 1, written
    assert not list(secrets_in(masked(text)))


@pytest.mark.parametrize(
    "text",
    [
        "the password must be long",
        "tokens are verified; the secret is masked",
        "postgresql://db:5432/x?sslmode=require",
        "see https://example.com/a:b and ana@example.com",
        'password="***"',
        "cursor=WyJjYW1wYWlnbnMiLCA3XQ",
        "task-sk-1",
        "eyJ",
    ],
)
def test_what_does_not(text: str) -> None:
    assert list(secrets_in(text)) == []
    assert list(secrets_in(cell(text))) == []


def test_filters_are_written_down_and_read() -> None:
    for one in (
        Filter(),
        Filter(since=date(2026, 1, 1)),
        Filter(date(2026, 1, 1), date(2026, 1, 31), "Ana --> | & = %", "promptads"),
    ):
        line = one.begin()
        assert line.count("-->") == 1
        assert filter_of(line) == one
    assert filter_of("text") is None
    for wrong in ("<!-- ai-log:mcp since=soon -->", "<!-- ai-log:mcp other=1 -->", "<!-- ai-log:mcp x -->"):
        with pytest.raises(ValueError):
            filter_of(wrong)


def test_what_filters_let_through() -> None:
    assert Filter(since=date(2026, 1, 31), until=date(2026, 1, 31), name="ANA@example.com", server="promptads").passes(
        ENTRY
    )
    assert not Filter(since=date(2026, 2, 1)).passes(ENTRY)
    assert not Filter(until=date(2026, 1, 30)).passes(ENTRY)
    assert not Filter(name="ana").passes(ENTRY)
    assert not Filter(server="promptcrm").passes(ENTRY)


def test_anchors() -> None:
    anchor = Anchor(12, "ab" * 32, "2026-01-31T23:59:59.000001Z")
    assert anchor_of(anchor_line(anchor)) == anchor
    assert anchor_of(anchor_line(None)) is None
    assert anchor_line(None) == NO_ANCHOR
    for wrong in ("Ancla / Anchor: 12", anchor_line(anchor) + " more", anchor_line(anchor).replace("ab", "zz", 1)):
        with pytest.raises(ValueError):
            anchor_of(wrong)


def test_what_lines_are() -> None:
    text = f"""# x
```
{HEADER}
```
| other | table |
|---|---|
| 1 | 2 |

{HEADER}
{RULER}
| a | b | c | d |
oops

<!-- ai-log:mcp -->
{HEADER}
{RULER}
| e | f | g | h |

{NO_ANCHOR}
<!-- ai-log:end -->
after
"""
    kinds = [(one.kind, one.part) for one in lines_of(text.splitlines()) if one.kind != "text"]
    assert kinds == [
        ("header", "hand"), ("ruler", "hand"), ("row", "hand"), ("broken", "hand"),
        ("begin", "mcp"), ("header", "mcp"), ("ruler", "mcp"), ("row", "mcp"), ("anchor", "mcp"), ("end", "mcp"),
    ]  # fmt: skip
    assert "".join(one.raw for one in lines_of(text.splitlines(keepends=True))) == text
