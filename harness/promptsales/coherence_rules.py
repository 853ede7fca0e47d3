"""What must hold in PromptSales: inside of one database what no constraint can say, and between them everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.promptsales.coherence import LeftOut, Rule, Tally
from harness.promptsales.coherence_documents import (
    CACHE_IDS,
    CONTENT_IDS,
    CONTENT_TEXTS,
    PICTURE_FILES,
    PICTURES_OF,
    Pictures,
)
from harness.promptsales.coherence_kinds import Encloses, Exists, Holds, Same
from harness.promptsales.coherence_secrets import Decrypts
from harness.promptsales.coherence_sources import Side, Sources

_ADS, _CRM, _SALES = "promptads", "promptcrm", "promptsales"


def _ids(table: str, column: str) -> str:
    return f"SELECT {column}, count(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY {column}"  # noqa: S608


_CAMPAIGNS = Side(_ADS, "SELECT id FROM campaign ORDER BY id")

_INSIDE: tuple[Rule, ...] = (
    Holds(
        "a campaign's budget is the sum of its channels'",
        _ADS,
        "SELECT count(*) FROM campaign",
        "SELECT c.id FROM campaign c LEFT JOIN (SELECT campaign_id, sum(amount) AS amount FROM budget GROUP BY campaign_id) b"
        " ON b.campaign_id = c.id WHERE c.budget <> coalesce(b.amount, 0) ORDER BY c.id",
        "campaign {}",
    ),
    Holds(
        "what was spent is the sum of the ads' costs, and within the budget",
        _ADS,
        "SELECT count(*) FROM budget",
        "SELECT b.campaign_id, b.channel_id FROM budget b LEFT JOIN (SELECT a.campaign_id, a.channel_id, sum(m.cost) AS cost"
        " FROM metric_day m JOIN ad a ON a.id = m.ad_id GROUP BY a.campaign_id, a.channel_id) s"
        " ON s.campaign_id = b.campaign_id AND s.channel_id = b.channel_id"
        " WHERE b.spent <> coalesce(s.cost, 0) OR b.spent > b.amount ORDER BY b.campaign_id, b.channel_id",
        "campaign {}, channel {}",
    ),
    Holds(
        "an ad runs on a channel that its campaign has a budget for",
        _ADS,
        "SELECT count(*) FROM ad",
        "SELECT a.id FROM ad a LEFT JOIN budget b ON b.campaign_id = a.campaign_id AND b.channel_id = a.channel_id"
        " WHERE b.id IS NULL ORDER BY a.id",
        "ad {}",
    ),
    Holds(
        "a campaign's dates enclose its metrics",
        _ADS,
        "SELECT count(*) FROM metric_day",
        "SELECT m.ad_id, m.day FROM metric_day m JOIN ad a ON a.id = m.ad_id JOIN campaign c ON c.id = a.campaign_id"
        " WHERE m.day < c.starts_on OR m.day > c.ends_on ORDER BY m.ad_id, m.day",
        "ad {} on {}",
    ),
    Holds(
        "a sale's total is the sum of its lines",
        _CRM,
        "SELECT count(*) FROM sale",
        "SELECT s.id FROM sale s LEFT JOIN (SELECT sale_id, sum(quantity * unit_price) AS total FROM sale_line"
        " GROUP BY sale_id) l ON l.sale_id = s.id WHERE s.total <> coalesce(l.total, 0) ORDER BY s.id",
        "sale {}",
    ),
    Holds(
        "nothing was sold to a client before it was one",
        _CRM,
        "SELECT count(*) FROM sale",
        "SELECT s.id FROM sale s JOIN client c ON c.id = s.client_id WHERE s.sold_on < c.created_on ORDER BY s.id",
        "sale {}",
    ),
    Holds(
        "nothing was said to a client before it was one",
        _CRM,
        "SELECT count(*) FROM interaction",
        "SELECT i.id FROM interaction i JOIN client c ON c.id = i.client_id WHERE CAST(i.happened_at AS date) < c.created_on"
        " ORDER BY i.id",
        "interaction {}",
    ),
    Holds(
        "a sale came of an opportunity of the same client, and it was won",
        _CRM,
        "SELECT count(*) FROM sale WHERE opportunity_id IS NOT NULL",
        "SELECT s.id FROM sale s JOIN opportunity o ON o.id = s.opportunity_id"
        " WHERE o.client_id <> s.client_id OR o.stage <> 'won' ORDER BY s.id",
        "sale {}",
    ),
    Holds(
        "a client was referred by one that came before",
        _CRM,
        "SELECT count(*) FROM client WHERE referred_by IS NOT NULL",
        "SELECT c.id FROM client c JOIN client r ON r.id = c.referred_by"
        " WHERE r.id = c.id OR r.created_on > c.created_on ORDER BY c.id",
        "client {}",
    ),
)

_BETWEEN: tuple[Rule, ...] = (
    *(
        Exists(
            f"the campaign of each {table} exists",
            Side(_CRM, _ids(table, "campaign_id")),
            _CAMPAIGNS,
            "campaign {}",
        )
        for table in ("client", "opportunity", "sale", "interaction")
    ),
    *(
        Exists(
            f"the content of each {table} exists",
            Side(logical, _ids(table, "content_id")),
            CONTENT_IDS,
            "content {}",
        )
        for logical, table in ((_ADS, "campaign"), (_ADS, "ad"), (_CRM, "interaction"))
    ),
    Encloses(
        "a campaign's dates enclose the sales that it is credited with",
        Side(
            _CRM,
            "SELECT campaign_id, min(sold_on), max(sold_on), count(*) FROM sale WHERE campaign_id IS NOT NULL"
            " GROUP BY campaign_id ORDER BY campaign_id",
        ),
        Side(_ADS, "SELECT id, starts_on, ends_on FROM campaign ORDER BY id"),
        "campaign {}",
    ),
)


@dataclass(frozen=True, slots=True)
class ActiveShare:
    """Of the campaigns, 30 % are active: exactly, or if that is no whole number, the nearest."""

    name: str = "exactly 30 % of the campaigns are active"
    needs: tuple[str, ...] = (_ADS,)

    def run(self, sources: Sources) -> Tally:
        """Count."""
        sql = "SELECT count(*), sum(CASE WHEN status = 'active' THEN 1 ELSE 0 END) FROM campaign"
        ((count, active),) = sources.rows(Side(_ADS, sql))
        if not count:
            raise LeftOut("there are no campaigns")
        tally = Tally(checked=int(count))
        wanted = (3 * int(count) + 5) // 10
        if int(active) != wanted:
            tally.breaks(f"{active} of {count} are active, not {wanted}", abs(int(active) - wanted))
        return tally


def _row_side(logical: str, sql: str) -> Side:
    return Side(logical, " ".join(sql.split()))


_CENTRAL: tuple[Rule, ...] = (
    Same(
        "PromptSales knows the campaigns as they are",
        _row_side(
            _SALES,
            "SELECT id, name, status, starts_on, ends_on, CAST(budget * 100 AS bigint), content_id FROM campaign ORDER BY id",
        ),
        _row_side(
            _ADS,
            "SELECT id, name, status, starts_on, ends_on, CAST(budget * 100 AS bigint), content_id FROM campaign ORDER BY id",
        ),
        1,
        ("name", "status", "starts_on", "ends_on", "budget", "content_id"),
        "campaign {}",
    ),
    Same(
        "PromptSales knows the clients as they are",
        _row_side(_SALES, "SELECT id, name, country, CAST(credit * 100 AS bigint), created_on FROM client ORDER BY id"),
        _row_side(
            _CRM,
            "SELECT c.id, c.name, y.country, CAST(c.credit * 100 AS bigint), c.created_on"
            " FROM client c JOIN city y ON y.id = c.city_id ORDER BY c.id",
        ),
        1,
        ("name", "country", "credit", "created_on"),
        "client {}",
    ),
    Same(
        "PromptSales knows the contents as they are",
        _row_side(_SALES, "SELECT id, title, hashtags FROM content ORDER BY id"),
        CONTENT_TEXTS,
        1,
        ("title", "hashtags"),
        "content {}",
    ),
    Same(
        "a client's month is the sum of its sales and interactions",
        _row_side(
            _SALES,
            "SELECT client_id, MONTH_NO(month), CAST(sales AS bigint), CAST(revenue * 100 AS bigint),"
            " CAST(interactions AS bigint) FROM client_month ORDER BY client_id, month",
        ),
        _row_side(
            _CRM,
            "SELECT client_id, month_no, CAST(sum(sales) AS bigint), CAST(sum(revenue) * 100 AS bigint),"
            " CAST(sum(said) AS bigint) FROM (SELECT client_id, MONTH_NO(sold_on) AS month_no, 1 AS sales, total AS revenue,"
            " 0 AS said FROM sale WHERE status <> 'cancelled' UNION ALL SELECT client_id, MONTH_NO(happened_at), 0, 0, 1"
            " FROM interaction) x GROUP BY client_id, month_no ORDER BY client_id, month_no",
        ),
        2,
        ("sales", "revenue in hundredths", "interactions"),
        "client {}, {}",
        month=True,
        zero=True,
    ),
    Same(
        "a campaign's month is the sum of its metrics",
        _row_side(
            _SALES,
            "SELECT campaign_id, MONTH_NO(month), impressions, clicks, conversions, CAST(cost * 100 AS bigint)"
            " FROM campaign_month ORDER BY campaign_id, month",
        ),
        _row_side(
            _ADS,
            "SELECT campaign_id, month_no, CAST(sum(impressions) AS bigint), CAST(sum(clicks) AS bigint),"
            " CAST(sum(conversions) AS bigint), CAST(sum(cost) * 100 AS bigint)"
            " FROM (SELECT a.campaign_id, MONTH_NO(m.day) AS month_no, CAST(m.impressions AS bigint) AS impressions,"
            " CAST(m.clicks AS bigint) AS clicks, CAST(m.conversions AS bigint) AS conversions, m.cost"
            " FROM metric_day m JOIN ad a ON a.id = m.ad_id) x GROUP BY campaign_id, month_no ORDER BY campaign_id, month_no",
        ),
        2,
        ("impressions", "clicks", "conversions", "cost in hundredths"),
        "campaign {}, {}",
        month=True,
        zero=True,
    ),
    Same(
        "a campaign's month is the sum of its sales",
        _row_side(
            _SALES,
            "SELECT campaign_id, MONTH_NO(month), sales, CAST(revenue * 100 AS bigint)"
            " FROM campaign_month ORDER BY campaign_id, month",
        ),
        _row_side(
            _CRM,
            "SELECT campaign_id, month_no, CAST(count(*) AS bigint), CAST(sum(total) * 100 AS bigint)"
            " FROM (SELECT campaign_id, MONTH_NO(sold_on) AS month_no, total FROM sale"
            " WHERE status <> 'cancelled' AND campaign_id IS NOT NULL) x"
            " GROUP BY campaign_id, month_no ORDER BY campaign_id, month_no",
        ),
        2,
        ("sales", "revenue in hundredths"),
        "campaign {}, {}",
        month=True,
        zero=True,
    ),
    Same(
        "a content's month is the sum of the metrics of its ads",
        _row_side(
            _SALES,
            "SELECT content_id, MONTH_NO(month), impressions, clicks FROM content_month ORDER BY content_id, month",
        ),
        _row_side(
            _ADS,
            "SELECT content_id, month_no, CAST(sum(impressions) AS bigint), CAST(sum(clicks) AS bigint) FROM (SELECT a.content_id, MONTH_NO(m.day) AS month_no,"
            " CAST(m.impressions AS bigint) AS impressions, CAST(m.clicks AS bigint) AS clicks FROM metric_day m"
            " JOIN ad a ON a.id = m.ad_id WHERE a.content_id IS NOT NULL) x"
            " GROUP BY content_id, month_no ORDER BY content_id, month_no",
        ),
        2,
        ("impressions", "clicks"),
        "content {}, {}",
        month=True,
        zero=True,
    ),
    Same(
        "a content's month is the sum of the interactions with it",
        _row_side(
            _SALES, "SELECT content_id, MONTH_NO(month), interactions FROM content_month ORDER BY content_id, month"
        ),
        _row_side(
            _CRM,
            "SELECT content_id, month_no, CAST(count(*) AS bigint) FROM (SELECT content_id, MONTH_NO(happened_at) AS month_no"
            " FROM interaction WHERE content_id IS NOT NULL) x GROUP BY content_id, month_no ORDER BY content_id, month_no",
        ),
        2,
        ("interactions",),
        "content {}, {}",
        month=True,
        zero=True,
    ),
    Same(
        "a month is the sum over clients and campaigns",
        _row_side(
            _SALES,
            "SELECT MONTH_NO(month), CAST(cost * 100 AS bigint), sales, CAST(revenue * 100 AS bigint), interactions"
            " FROM month_summary ORDER BY month",
        ),
        _row_side(
            _SALES,
            "SELECT MONTH_NO(month) AS month_no, CAST(sum(cost) * 100 AS bigint), CAST(sum(sales) AS bigint),"
            " CAST(sum(revenue) * 100 AS bigint), CAST(sum(said) AS bigint) FROM (SELECT month, cost, 0 AS sales, 0 AS revenue,"
            " 0 AS said FROM campaign_month UNION ALL SELECT month, 0, sales, revenue, interactions FROM client_month) x"
            " GROUP BY month ORDER BY month",
        ),
        1,
        ("cost in hundredths", "sales", "revenue in hundredths", "interactions"),
        "{}",
        month=True,
        zero=True,
    ),
)

_CONTENT: tuple[Rule, ...] = (
    Same("each content has its picture, and each picture its content", PICTURES_OF, PICTURE_FILES, 1, (), "picture {}"),
    Pictures(),
    Same(
        "each content has its vector, and each vector its content",
        _row_side(_SALES, "SELECT DISTINCT content_id FROM content_embedding ORDER BY content_id"),
        CONTENT_IDS,
        1,
        (),
        "content {}",
    ),
)


def _cached(logical: str, kind: str, there: Side) -> Iterable[Rule]:
    if kind in CACHE_IDS:
        yield Exists(f"what the cache holds of a {kind} exists in {logical}", CACHE_IDS[kind], there, f"{kind} {{}}")


_CACHED: tuple[Any, ...] = (
    *_cached(_CRM, "client", Side(_CRM, "SELECT id FROM client ORDER BY id")),
    *_cached(_ADS, "campaign", _CAMPAIGNS),
    *_cached("promptcontent", "content", CONTENT_IDS),
    *_cached(_SALES, "plan", Side(_SALES, "SELECT id FROM plan ORDER BY id")),
)

RULES: tuple[Rule, ...] = (*_INSIDE, ActiveShare(), Decrypts(), *_BETWEEN, *_CENTRAL, *_CONTENT, *_CACHED)
"""All of them, in the order in which they are shown."""
