"""What the MCP server of PromptAds offers: campaigns, what they cost and brought, and two of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.errors import ToolRefused
from harness.mcp.model import ANYBODY, Answer, Cursor, Limit, Money, Page, Toolset, prompt, resource, tool
from harness.mcp.pages import after, cursor_of
from harness.mcp.schema_text import schema_text
from harness.mcp.sql import SqlSource
from harness.promptsales.queries import find
from harness.servers.base import Target
from harness.servers.logins import LoginFor
from harness.sso.model import Caller

LOGINS: tuple[LoginFor, ...] = (LoginFor("promptads", "promptads_mcp"),)

MOST_ADS = 100

Id = Annotated[int, Field(ge=1, le=2**31 - 1, description="A campaign's id, as find_campaigns gives it")]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 12, 31))]
Objective = Literal["awareness", "traffic", "leads", "sales"]
Status = Literal["draft", "active", "paused", "finished"]
Share = Annotated[float | None, Field(description="1 is all of it; null: of nothing there is no share")]


class ActiveCampaign(Answer):
    """A campaign that runs, and how fast it spends."""

    campaign_id: int
    name: str
    objective: Objective
    starts_on: date
    ends_on: date
    budget: Money
    spent: Money = Field(description="What its ads cost until the day as_of, that day included")
    share_spent: Share = Field(description="Of the budget; null: it has none")
    share_of_time: float = Field(description="How much of its time is over after that day; 1 is all")
    pace: Literal["ahead", "on", "behind"] = Field(
        description="ahead: it has spent more than a tenth more of its budget than of its time; behind: a tenth less"
    )
    projected_spend: Money = Field(description="What it costs until its end if it goes on like this")


class ActiveCampaigns(Page[ActiveCampaign]):
    """Campaigns that run on a day; those that end first come first."""

    as_of: date = Field(description="The day that was taken")
    measured_until: date | None = Field(
        description="The last day of which there are figures: later ones are not in yet"
    )


class CampaignFound(Answer):
    """A campaign, in short."""

    campaign_id: int
    code: str
    name: str
    objective: Objective
    status: Status
    starts_on: date
    ends_on: date


class Measured(Answer):
    """What ads did and cost."""

    impressions: int
    clicks: int
    conversions: int
    cost: Money
    click_rate: Share = Field(description="Clicks per impression (CTR); null: no impressions")
    conversion_rate: Share = Field(description="Conversions per click; null: no clicks")
    cost_per_click: Money | None = Field(description="null: no clicks")
    cost_per_conversion: Money | None = Field(description="null: no conversions")


class ChannelMeasured(Measured):
    """The same, of one channel."""

    channel: str
    budget: Money = Field(description="What it was to cost there")


class Ad(Answer):
    """An ad of a campaign."""

    ad_id: int
    channel: str
    headline: str
    status: Literal["active", "paused"]
    content_id: int | None = Field(description="Its content, in PromptContent")


class Campaign(CampaignFound):
    """A campaign with its channels and ads."""

    budget: Money
    content_id: int | None = Field(description="Its content, in PromptContent")
    audience: str
    audience_country: str
    audience_age_from: int
    audience_age_to: int
    channels: list[ChannelMeasured] = Field(description="All that was measured, by channel")
    ads: list[Ad]
    more_ads: bool = Field(description=f"Whether it has more than these first {MOST_ADS} ads")


class CampaignDay(Measured):
    """What a campaign did and cost on a day, all of its ads together."""

    day: date


class Side(Answer):
    """A campaign of two that are compared."""

    campaign_id: int
    name: str
    objective: Objective
    status: Status
    budget: Money
    days: int = Field(description="On how many days anything was measured")
    first_day: date | None
    last_day: date | None
    total: Measured
    channels: list[ChannelMeasured]


class Comparison(Answer):
    """Two campaigns side by side."""

    first: Side
    second: Side
    better: dict[str, Literal["first", "second", "equal"]] = Field(
        description="By click_rate, conversion_rate, cost_per_click and cost_per_conversion, where both have it"
    )


class PromptAds(Toolset):
    """The tools. ``today`` says which day it is."""

    name = "promptads"
    title = "PromptAds: campaigns"
    instructions = (
        "PromptAds holds the advertising campaigns: their ads, channels, budgets, and what each ad did and cost day by day. "
        "Amounts are in the company's currency. Begin with active_campaigns or find_campaigns; they give the ids that the "
        "other tools take. Sales and revenue are not here: PromptSales has them."
    )

    def __init__(self, source: SqlSource, today: Callable[[], date] = date.today) -> None:
        self._source = source
        self._today = today

    @tool("Active campaigns", roles=ANYBODY)
    def active_campaigns(
        self,
        caller: Caller,
        objective: Annotated[Objective | None, Field(description="Only these; null: all")] = None,
        on: Annotated[Day | None, Field(description="Which day; null: today")] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> ActiveCampaigns:
        """Campaigns that are active and run on a day (today), with budget, what they have spent until then, and their pace.

        Those that end first come first. Drafts, paused and finished campaigns are left out. If there are none, and
        measured_until is before today, ask for that day (on). To go on, give the same day as as_of says, with
        next_cursor.
        """
        day = on or self._today()
        end, id_ = after("active_campaigns", cursor, date, int) or (date(1900, 1, 1), 0)
        rows = self._rows(
            "active_campaigns",
            limit + 1,
            day=day,
            objective=objective or "",
            after_day=end,
            after_id=id_,
            places=limit + 1,
        )
        items = [_active(row, day) for row in rows[:limit]]
        more = cursor_of("active_campaigns", items[-1].ends_on, items[-1].campaign_id) if len(rows) > limit else None
        (measured,) = self._rows("measured_until", 1)
        return ActiveCampaigns(items=items, next_cursor=more, as_of=day, measured_until=measured["day"])

    @tool("Find campaigns", roles=ANYBODY)
    def find_campaigns(
        self,
        caller: Caller,
        text: Annotated[
            str, Field(min_length=1, max_length=80, description="A part of the name; case does not matter")
        ],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[CampaignFound]:
        """Campaigns with these words in their name, of any status, by id. It finds the exact letters, not the meaning."""
        (id_,) = after("find_campaigns", cursor, int) or (0,)
        rows = self._rows("campaigns_named", limit + 1, pattern=containing(text), after_id=id_, places=limit + 1)
        items = [CampaignFound(**_named(row)) for row in rows[:limit]]
        more = cursor_of("find_campaigns", items[-1].campaign_id) if len(rows) > limit else None
        return Page[CampaignFound](items=items, next_cursor=more)

    @tool("A campaign", roles=ANYBODY)
    def campaign(self, caller: Caller, campaign_id: Id) -> Campaign:
        """One campaign: dates, budget, audience, what it did and cost on each channel, and its ads (the first hundred)."""
        card = self._card(campaign_id)
        ads = self._rows("campaign_ads", MOST_ADS + 1, campaign_id=campaign_id, places=MOST_ADS + 1)
        return Campaign(
            **_named(card),
            budget=card["budget"],
            content_id=card["content_id"],
            audience=card["audience"],
            audience_country=card["country"],
            audience_age_from=card["age_from"],
            audience_age_to=card["age_to"],
            channels=self._channels(campaign_id),
            ads=[Ad(**row) for row in ads[:MOST_ADS]],
            more_ads=len(ads) > MOST_ADS,
        )

    @tool("A campaign, day by day", roles=ANYBODY)
    def campaign_days(
        self,
        caller: Caller,
        campaign_id: Id,
        since: Annotated[Day | None, Field(description="From this day on; null: from its first one")] = None,
        until: Annotated[Day | None, Field(description="Until this day, included; null: to its last one")] = None,
        limit: Limit = 31,
        cursor: Cursor = None,
    ) -> Page[CampaignDay]:
        """Impressions, clicks, conversions and cost of a campaign on each day, the oldest first; all of its ads together.

        Days on which nothing was measured are left out.
        """
        first, last = since or date(1900, 1, 1), until or date(2200, 1, 1)
        if first > last:
            raise ToolRefused(f"since {first} is after until {last}: turn them around")
        (day,) = after("campaign_days", cursor, date) or (first - timedelta(days=1),)
        self._card(campaign_id)
        rows = self._rows(
            "campaign_days", limit + 1,
            campaign_id=campaign_id, day_first=first, day_last=last, after_day=day, places=limit + 1,
        )  # fmt: skip
        items = [CampaignDay(day=row["day"], **_measured(row)) for row in rows[:limit]]
        return Page[CampaignDay](
            items=items, next_cursor=cursor_of("campaign_days", items[-1].day) if len(rows) > limit else None
        )

    @tool("Compare two campaigns", roles=ANYBODY)
    def compare_campaigns(self, caller: Caller, first_id: Id, second_id: Id) -> Comparison:
        """Two campaigns side by side: days, impressions, clicks, conversions, cost, rates and prices, in all and by channel.

        All that was ever measured is counted, so the shorter campaign has less of it: compare the rates.
        """
        if first_id == second_id:
            raise ToolRefused("these are the same campaign: give two different ids")
        first, second = self._side(first_id), self._side(second_id)
        better: dict[str, Literal["first", "second", "equal"]] = {}
        for what, sign in (
            ("click_rate", 1),
            ("conversion_rate", 1),
            ("cost_per_click", -1),
            ("cost_per_conversion", -1),
        ):
            one, other = getattr(first.total, what), getattr(second.total, what)
            if one is not None and other is not None:
                better[what] = "equal" if one == other else "first" if (one - other) * sign > 0 else "second"
        return Comparison(first=first, second=second, better=better)

    @resource("promptads://schema", "The tables of PromptAds", roles=ANYBODY, mime_type="text/markdown")
    def schema(self, caller: Caller) -> str:
        """Tables, columns and constraints of PromptAds, in Markdown."""
        return schema_text("promptads", self._source.engine)

    @prompt("Compare two campaigns", roles=ANYBODY)
    def compare_two_campaigns(
        self,
        caller: Caller,
        first: Annotated[str, Field(max_length=80, description="A campaign's id, or a part of its name")],
        second: Annotated[str, Field(max_length=80, description="The other one's")],
    ) -> str:
        """A comparison for people who decide where the money goes."""
        return (
            f"Compare the campaigns {first!r} and {second!r} of PromptAds. Where one is not an id, look it up with "
            "find_campaigns, and ask me if several fit. Then call compare_campaigns. Tell me in a short table how they "
            "differ in cost, click rate, conversion rate and cost per conversion, which channel works best for each, and "
            "what you would do with the next 1,000 of budget. Say it when the figures are too small to tell."
        )

    def close(self) -> None:
        """Let go of the database."""
        self._source.close()

    def _rows(self, name: str, most: int, /, **values: Any) -> list[dict[str, Any]]:
        return self._source.rows(find("promptads", self._source.engine, name), most, **values)

    def _card(self, campaign_id: int) -> dict[str, Any]:
        rows = self._rows("campaign_card", 1, campaign_id=campaign_id)
        if not rows:
            raise ToolRefused(f"there is no campaign {campaign_id}: find_campaigns tells the ids")
        return rows[0]

    def _channels(self, campaign_id: int) -> list[ChannelMeasured]:
        rows = self._rows("campaign_channels", 100, campaign_id=campaign_id)
        return [ChannelMeasured(channel=row["channel"], budget=row["budget"], **_measured(row)) for row in rows]

    def _side(self, campaign_id: int) -> Side:
        card = self._card(campaign_id)
        channels = self._channels(campaign_id)
        (span,) = self._rows("campaign_span", 1, campaign_id=campaign_id)
        names = ("impressions", "clicks", "conversions", "cost")
        total = {
            name: sum((getattr(one, name) for one in channels), Decimal() if name == "cost" else 0) for name in names
        }
        return Side(
            campaign_id=campaign_id,
            name=card["campaign"],
            objective=card["objective"],
            status=card["status"],
            budget=card["budget"],
            total=Measured(**_measured(total)),
            channels=channels,
            **span,
        )


def containing(text: str) -> str:
    """A pattern of LIKE ... ESCAPE '!' for what contains a text, on both engines (T-SQL has ``[`` besides).

    >>> containing("50 %")
    '%50 !%%'
    """
    return "%" + "".join(f"!{sign}" if sign in "!%_[" else sign for sign in text) + "%"


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("campaign_id", "code", "objective", "status", "starts_on", "ends_on")
    return {"name": row["campaign"]} | {name: row[name] for name in names}


def _active(row: Mapping[str, Any], day: date) -> ActiveCampaign:
    budget, spent = Decimal(row["budget"]), Decimal(row["spent"])
    gone = Decimal((day - row["starts_on"]).days + 1) / ((row["ends_on"] - row["starts_on"]).days + 1)
    share = spent / budget if budget else None
    ratio = share / gone if share is not None else Decimal(2 if spent else 1)
    return ActiveCampaign(
        campaign_id=row["campaign_id"],
        name=row["campaign"],
        objective=row["objective"],
        starts_on=row["starts_on"],
        ends_on=row["ends_on"],
        budget=budget,
        spent=spent,
        share_spent=None if share is None else round(float(share), 4),
        share_of_time=round(float(gone), 4),
        pace="ahead" if ratio > Decimal("1.1") else "behind" if ratio < Decimal("0.9") else "on",
        projected_spend=round(spent / gone, 2),
    )


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    impressions, clicks, conversions = (int(row[name]) for name in ("impressions", "clicks", "conversions"))
    cost = Decimal(row["cost"])
    return {
        "impressions": impressions,
        "clicks": clicks,
        "conversions": conversions,
        "cost": cost,
        "click_rate": round(clicks / impressions, 6) if impressions else None,
        "conversion_rate": round(conversions / clicks, 6) if clicks else None,
        "cost_per_click": round(cost / clicks, 4) if clicks else None,
        "cost_per_conversion": round(cost / conversions, 4) if conversions else None,
    }


def open_toolset(targets: Mapping[LoginFor, Target]) -> PromptAds:
    """The toolset; connects when first asked."""
    return PromptAds(SqlSource(targets[LOGINS[0]]))
