"""What the tools of PromptSales answer with."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from harness.mcp.model import Answer, Money

Ratio = float | None


class Month(Answer):
    """A month of the whole business."""

    month: date = Field(description="Its first day")
    cost: Money = Field(description="What the ads cost")
    sales: int = Field(description="Number of sales, cancelled ones left out")
    revenue: Money = Field(description="What these sales brought")
    interactions: int = Field(description="Of clients")
    margin: Money = Field(description="Revenue less cost of the ads")
    return_on_spend: Ratio = Field(description="Revenue for each unit of cost; null: nothing was spent")
    growth_percent: Ratio = Field(
        description="Of the revenue, against the month before; null: there is none to compare"
    )
    trend: Literal["first", "up", "down", "same"] = Field(description="Of the revenue, against the month before")


class MonthSummary(Answer):
    """Months of a span, and their sums."""

    months: list[Month] = Field(description="In order; months in which nothing happened are left out")
    cost: Money
    sales: int
    revenue: Money
    interactions: int
    return_on_spend: Ratio = Field(description="Of the whole span; null: nothing was spent")


class CampaignOfMonth(Answer):
    """A campaign in one month."""

    campaign_id: int
    name: str
    status: str = Field(description="Today: draft, active, paused or finished")
    impressions: int
    clicks: int
    conversions: int
    cost: Money
    sales: int = Field(description="Sales that are put down to the campaign")
    revenue: Money
    return_on_spend: Ratio = Field(description="Revenue for each unit of cost; null: nothing was spent")


class HistoryMonth(Answer):
    """One month of a campaign."""

    month: date = Field(description="Its first day")
    impressions: int
    clicks: int
    conversions: int
    cost: Money
    sales: int
    revenue: Money
    return_on_spend: Ratio


class CampaignHistory(Answer):
    """A campaign and its months."""

    campaign_id: int
    name: str
    status: str
    starts_on: date
    ends_on: date
    budget: Money
    content_id: int | None = Field(description="The content that it shows, an id of promptcontent")
    months: list[HistoryMonth] = Field(description="In order, at most the last 120; those without metrics are left out")


class Reach(Answer):
    """How far a content has come."""

    content_id: int
    title: str
    hashtags: list[str]
    campaigns: int = Field(description="That show it")
    active_campaigns: int
    impressions: int
    clicks: int
    interactions: int
    click_rate_percent: Ratio = Field(description="Clicks of 100 impressions; null: it was never shown")
    views: int = Field(description="In the application")
    likes: int = Field(description="In the application")


class SourceState(Answer):
    """How far the ETL has come with one source."""

    source: str
    last_status: str | None = Field(description="Of its last run: succeeded, failed, running; null: it never ran")
    last_started_at: datetime | None
    last_succeeded_at: datetime | None
    message: str | None = Field(description="What the last run had to say, addresses left out")
    lag_seconds: float | None = Field(
        description="What was committed in the source longer ago than this is here; null: it was never loaded"
    )
    watermark_age_seconds: float | None = Field(description="Since something was merged last")
    rows_read: int = Field(description="By the last run, as are the next three")
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    quarantined: int = Field(description="Rows of the source that could not be merged and wait")
    late: bool = Field(description="Whether it is further behind than the period allows, or was never loaded")
    in_words: str


class EtlState(Answer):
    """How old what PromptSales knows is."""

    period_seconds: int = Field(description="Between two rounds")
    sources: list[SourceState]
    in_words: str


class SourceRun(Answer):
    """One source in a round."""

    source: str
    status: str
    seconds: float | None
    whole: bool = Field(description="All of the source was read, not only what changed")
    rows_read: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    rows_quarantined: int
    message: str | None = Field(description="Addresses left out")


class EtlRound(Answer):
    """One go of the ETL over all sources."""

    round: int
    started_at: datetime
    finished_at: datetime | None = Field(description="null: it is under way")
    succeeded: bool
    runs: list[SourceRun]
