"""What PromptSales offers an assistant: months, campaigns and contents in sums, and how old all of it is."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.errors import ToolRefused
from harness.etl.model import PERIOD, SOURCES
from harness.mcp.model import ANALYSTS, ANYBODY, Cursor, Limit, Page, Toolset, prompt, resource, tool
from harness.mcp.pages import after, cursor_of
from harness.mcp.promptsales_model import (
    CampaignHistory,
    CampaignOfMonth,
    EtlRound,
    EtlState,
    HistoryMonth,
    Month,
    MonthSummary,
    Reach,
    SourceRun,
    SourceState,
)
from harness.mcp.promptsales_schema import schema
from harness.mcp.sql import SqlSource
from harness.promptsales.queries import Query, find
from harness.servers.base import Target
from harness.servers.logins import LoginFor
from harness.sso.model import Caller

LOGINS: tuple[LoginFor, ...] = (LoginFor("promptsales", "promptsales_mcp"),)

MOST_MONTHS = 120
LATE = 1.5
"""Periods that a source may be behind: one between two rounds, and some for the round itself."""

MonthText = Annotated[
    str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", max_length=7, description="A month, written 2026-01")
]
Hashtag = Annotated[
    str | None,
    Field(pattern=r"^#?\w+$", max_length=60, description="Only contents with it; capital letters do not matter"),
]
CampaignId = Annotated[int, Field(ge=1, le=2**31 - 1, description="The campaign's id, the same one as in promptads")]
OrderBy = Literal["revenue", "cost", "return"]

_PLACE = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,4})?")
_ADDRESSES = re.compile(
    r"\w+:/{2}\S+|jdbc:\S+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|\[?[0-9a-f]*:[0-9a-f:]*:[0-9a-f]+\]?(?::\d+)?"
    r"|\b[\w.-]+:\d{2,5}\b|(?i:\bport \d+)|(?i:\b(?:user|host|server|login|role|database)(?: name)? [\"'][^\"']*[\"'])"
)


def open_toolset(targets: Mapping[LoginFor, Target]) -> PromptSales:
    """The tools over the PromptSales of ``targets``; connects when it is first asked."""
    return PromptSales(SqlSource(targets[LOGINS[0]]))


class PromptSales(Toolset):
    """The central store's tools."""

    name = "promptsales"
    title = "PromptSales"
    instructions = (
        "PromptSales is the central store: what campaigns cost and what clients bought, summed by month, and how far "
        "each content has come. It is filled by an ETL every 11 minutes: etl_state says how old the numbers are. For single "
        "ads, clients or contents ask the servers promptads, promptcrm and promptcontent."
    )

    def __init__(self, source: SqlSource) -> None:
        self._source = source

    def close(self) -> None:
        """Let go of connections."""
        self._source.close()

    # -- months and campaigns

    @tool("Months", roles=ANYBODY)
    def month_summary(self, caller: Caller, first_month: MonthText, last_month: MonthText) -> MonthSummary:
        """Cost of the ads, sales, revenue, clients' interactions and return on spend, of each month of a span and of all.

        At most 120 months. Months in which nothing happened are left out. The last month may not be over yet.
        """
        first, last = _month(first_month), _month(last_month)
        if first > last:
            raise ToolRefused(f"{first_month} is after {last_month}: give the earlier month first")
        if (last.year - first.year) * 12 + last.month - first.month >= MOST_MONTHS:
            raise ToolRefused(f"from {first_month} to {last_month} are more than {MOST_MONTHS} months: ask for fewer")
        rows = self._source.rows(_query("months"), MOST_MONTHS, month_first=first, month_last=last)
        cost, revenue = (sum((row[name] for row in rows), Decimal(0)) for name in ("cost", "revenue"))
        return MonthSummary(
            months=[_month_of(row) for row in rows],
            cost=cost,
            sales=sum(row["sales"] for row in rows),
            revenue=revenue,
            interactions=sum(row["interactions"] for row in rows),
            return_on_spend=round(float(revenue / cost), 2) if cost else None,
        )

    @tool("Campaigns of a month", roles=ANALYSTS)
    def campaigns_of_month(
        self,
        caller: Caller,
        month: MonthText,
        order_by: Annotated[
            OrderBy, Field(description="What to order by, the greatest first; return: revenue by cost")
        ] = "revenue",
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[CampaignOfMonth]:
        """The campaigns that cost or brought something in a month, the greatest first: metrics, cost, sales, revenue.

        Also revenue by cost; ordered by that, campaigns without a cost come last. Sales of no campaign are not among these.
        """
        first = _month(month)
        found = after("campaigns_of_month", cursor, str, str, str, int)
        if found is not None and (
            found[:2] != (month, order_by) or not _PLACE.fullmatch(found[2]) or abs(found[3]) >= 2**31
        ):
            raise ToolRefused("the cursor is of another month or order: leave it out to get the first page")
        rows = self._source.rows(
            _query("campaigns_of_month"),
            limit + 1,
            month=first,
            order_by=order_by,
            after_place=Decimal(found[2]) if found else None,
            after_id=found[3] if found else None,
            most=limit + 1,
        )
        more = rows[limit - 1] if len(rows) > limit else None
        return Page[CampaignOfMonth](
            items=[
                CampaignOfMonth(
                    campaign_id=row["id"], return_on_spend=_ratio(row["return_on_spend"]), **_only(row, CampaignOfMonth)
                )
                for row in rows[:limit]
            ],
            next_cursor=cursor_of("campaigns_of_month", month, order_by, f"{more['place']:f}", more["id"])
            if more
            else None,
        )

    @tool("A campaign by month", roles=ANALYSTS)
    def campaign_history(self, caller: Caller, campaign_id: CampaignId) -> CampaignHistory:
        """One campaign: its dates and budget, and for each month its metrics, cost, sales, revenue and return on spend.

        At most its last 120 months. What single ads did is promptads's to say.
        """
        campaign = self._source.row(_query("campaign_by_id"), id=campaign_id)
        if campaign is None:
            raise ToolRefused(f"there is no campaign {campaign_id}")
        rows = self._source.rows(_query("campaign_history"), MOST_MONTHS, id=campaign_id, most=MOST_MONTHS)
        return CampaignHistory(
            campaign_id=campaign_id,
            months=[
                HistoryMonth(return_on_spend=_ratio(row["return_on_spend"]), **_only(row, HistoryMonth))
                for row in reversed(rows)
            ],
            **_only(campaign, CampaignHistory),
        )

    @tool("Reach of contents", roles=ANYBODY)
    def content_reach(
        self, caller: Caller, hashtag: Hashtag = None, limit: Limit = 20, cursor: Cursor = None
    ) -> Page[Reach]:
        """Contents by how often they were shown in ads: campaigns, impressions, clicks, interactions, views and likes.

        All contents, or those with a hashtag. What a content says and its picture are promptcontent's.
        """
        tag = None if hashtag is None else "#" + hashtag.removeprefix("#").lower()
        found = after("content_reach", cursor, str, int, int)
        if found is not None and (found[0] != (tag or "") or abs(found[2]) >= 2**31):
            raise ToolRefused("the cursor is of another hashtag: leave it out to get the first page")
        rows = self._source.rows(
            _query("contents_by_reach"),
            limit + 1,
            hashtag=tag,
            after_impressions=found[1] if found else None,
            after_id=found[2] if found else None,
            most=limit + 1,
        )
        more = rows[limit - 1] if len(rows) > limit else None
        return Page[Reach](
            items=[
                Reach(content_id=row["id"], click_rate_percent=_ratio(row["click_rate"]), **_only(row, Reach))
                for row in rows[:limit]
            ],
            next_cursor=cursor_of("content_reach", tag or "", more["impressions"], more["id"]) if more else None,
        )

    # -- the ETL

    @tool("How old the data is", roles=ANYBODY)
    def etl_state(self, caller: Caller) -> EtlState:
        """How far the ETL has come with each source: its last run, how far behind it is, rows in quarantine.

        Ask this when numbers look old, or differ from what promptads, promptcrm or promptcontent say.
        """
        rows = self._source.rows(_query("etl_sources"), 20)
        rows.sort(
            key=lambda row: (SOURCES.index(row["source"]) if row["source"] in SOURCES else len(SOURCES), row["source"])
        )
        sources = [_state_of(row) for row in rows]
        late = [one.source for one in sources if one.late]
        words = "no round of the ETL was run yet: what is here was not brought by it" if not sources else (
            f"late: {', '.join(late)}" if late else "all sources are up to date"
        )  # fmt: skip
        return EtlState(period_seconds=PERIOD, sources=sources, in_words=words)

    @tool("Rounds of the ETL", roles=ANYBODY)
    def etl_rounds(self, caller: Caller, limit: Limit = 10, cursor: Cursor = None) -> Page[EtlRound]:
        """The last rounds of the ETL, the newest first: what each source's run read and changed, what failed and why."""
        found = after("etl_rounds", cursor, int)
        rows = self._source.rows(
            _query("etl_last_rounds"),
            (limit + 1) * 2 * len(SOURCES),
            before_round=found[0] if found else None,
            most=limit + 1,
        )
        rounds = [_round_of(number, list(runs)) for number, runs in groupby(rows, key=lambda row: row["round"])]
        more = len(rounds) > limit
        return Page[EtlRound](
            items=rounds[:limit], next_cursor=cursor_of("etl_rounds", rounds[limit - 1].round) if more else None
        )

    # -- resources and prompts

    @resource("promptsales://schema", "Tables of PromptSales", roles=ANYBODY, mime_type="text/markdown")
    def schema(self, caller: Caller) -> str:
        """The tables and views of the central store, what they hold and how they hang together."""
        return schema()

    @resource("promptsales://month-board.csv", "All months", roles=ANYBODY, mime_type="text/csv")
    def month_board(self, caller: Caller) -> str:
        """Each month's cost, sales, revenue, interactions, margin, return on spend, growth in percent: the last 120."""
        rows = self._source.rows(_query("month_board"), MOST_MONTHS, most=MOST_MONTHS)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = ["month", "cost", "sales", "revenue", "interactions", "margin", "return_on_spend", "growth", "trend"]
        writer.writerow(names)
        writer.writerows([row[name] for name in names] for row in reversed(rows))
        return text.getvalue()

    @prompt("Review a month", roles=ANALYSTS)
    def monthly_review(self, caller: Caller, month: MonthText) -> str:
        """A review of one month: what it came to, which campaigns made it so, what to look at."""
        first = _month(month)
        year_before = f"{first.year - 1:04}-{first.month:02}"
        return (
            f"Write a review of {month} for the people who run PromptSales.\n\n"
            f"1. Call etl_state: if a source is late, say so at the top, with how late.\n"
            f"2. Call month_summary from {year_before} to {month}: compare the month with the one before and with "
            f"{year_before}.\n"
            f"3. Call campaigns_of_month for {month} twice, ordered by revenue and by return: which three made the "
            "month, which three cost more than they brought?\n"
            "4. For the best and the worst of them call campaign_history: is it a trend or this month alone?\n\n"
            "One page at most. Every number as the tools give it, with the month it is of. What the tools do not say, "
            "for example why clients bought, say that it is not known. End with two things to look at next."
        )

    @prompt("Why is the data old?", roles=ANYBODY)
    def why_is_data_old(self, caller: Caller) -> str:
        """A look at the ETL: which source is behind, since when, and why."""
        return (
            "Find out whether PromptSales's data is old, and why.\n\n"
            "1. Call etl_state: which sources are late, by how much, and what did their last run say?\n"
            "2. Call etl_rounds: since which round has it been so? Were rounds left out (one is due every 11 minutes), "
            "do they fail, or do they run and read nothing?\n"
            "3. If rows are in quarantine say how many of which source; they wait until what they refer to arrives.\n\n"
            "Answer in three sentences: what is old and since when; the most likely reason, with the message that shows it; "
            "what a person should do. If nothing is late, say so."
        )


# -- rows to answers


def _query(name: str) -> Query:
    return find("promptsales", "postgresql", name)


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise ToolRefused(f"{text!r} is no month: write it as 2026-01") from None


def _ratio(value: Decimal | None) -> float | None:
    return None if value is None else round(float(value), 2)


def _only(row: Mapping[str, Any], model: type[Any]) -> dict[str, Any]:
    """What the model has of a row under the same name."""
    return {name: row[name] for name in model.model_fields if name in row and name != "return_on_spend"}


def _month_of(row: Mapping[str, Any]) -> Month:
    return Month(
        return_on_spend=_ratio(row["return_on_spend"]), growth_percent=_ratio(row["growth"]), **_only(row, Month)
    )


def _state_of(row: Mapping[str, Any]) -> SourceState:
    lag = row["lag_seconds"]
    late = lag is None or lag > LATE * PERIOD
    if lag is None:
        words = "it was never loaded"
    elif late:
        words = f"it is late: {_spoken(lag)} behind, and a round is due every {_spoken(PERIOD)}"
    else:
        words = f"up to date: {_spoken(lag)} behind at most"
    if row["last_status"] == "failed":
        words += "; its last run failed"
    if row["quarantined"]:
        words += f"; {row['quarantined']} {'row waits' if row['quarantined'] == 1 else 'rows wait'} in quarantine"
    return SourceState(
        message=_without_addresses(row["last_message"]), late=late, in_words=words, **_only(row, SourceState)
    )


def _round_of(number: int, rows: Iterable[Mapping[str, Any]]) -> EtlRound:
    rows = list(rows)
    ends = [row["finished_at"] for row in rows]
    return EtlRound(
        round=number,
        started_at=min(row["started_at"] for row in rows),
        finished_at=None if None in ends else max(ends),
        succeeded=all(row["status"] == "succeeded" for row in rows),
        runs=[
            SourceRun(
                seconds=None if row["seconds"] is None else float(row["seconds"]),
                message=_without_addresses(row["message"]),
                **{name: value for name, value in _only(row, SourceRun).items() if name not in ("seconds", "message")},
            )
            for row in rows
        ],
    )


def _without_addresses(message: str | None) -> str | None:
    """What the ETL said, without URLs, hosts and logins: those are nobody's business here."""
    return None if message is None else _ADDRESSES.sub("…", message)[:500]


def _spoken(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 2 * 86400 else f"{seconds / 86400:.0f} days"
