"""All that must hold in PromptSales, in the order in which it is shown."""

from __future__ import annotations

from harness.promptsales.coherence import Rule
from harness.promptsales.coherence_documents import (
    CACHE_IDS,
    CONTENT_IDS,
    CONTENT_TEXTS,
    PICTURE_FILES,
    PICTURES_OF,
    Pictures,
)
from harness.promptsales.coherence_facts import FACTS
from harness.promptsales.coherence_inside import ADS, CRM, IN_ADS, IN_CRM
from harness.promptsales.coherence_kinds import Encloses, Exists, Same
from harness.promptsales.coherence_secrets import Decrypts
from harness.promptsales.coherence_sources import Side

SALES, CONTENT = "promptsales", "promptcontent"

_CAMPAIGN_IDS = Side(ADS, "SELECT id FROM campaign ORDER BY id")
_CAMPAIGN = """
    SELECT id, name, status, starts_on, ends_on, CAST(budget * 100 AS bigint), content_id FROM campaign ORDER BY id
"""


def _held(logical: str, table: str, column: str) -> Side:
    """(id, how often) of the ids that a column holds."""
    sql = f"SELECT {column}, count(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY {column}"  # noqa: S608
    return Side(logical, sql)


def _sum(name: str, key: str, columns: tuple[str, ...], ours: Side, source: Side) -> Rule:
    """Sums of PromptSales by month are what their source gives: keys, the month's number, then the columns."""
    keys = key.count("{}")
    return Same(name, ours, source, keys, columns, key, month=True, zero=True)


IDS: tuple[Rule, ...] = (
    *(
        Exists(f"the campaign of each {table} exists", _held(CRM, table, "campaign_id"), _CAMPAIGN_IDS, "campaign {}")
        for table in ("client", "opportunity", "sale", "interaction")
    ),
    *(
        Exists(f"the content of each {table} exists", _held(logical, table, "content_id"), CONTENT_IDS, "content {}")
        for logical, table in ((ADS, "campaign"), (ADS, "ad"), (CRM, "interaction"))
    ),
    Encloses(
        "a campaign's dates enclose the sales put down to it",
        Side(
            CRM,
            """
            SELECT campaign_id, min(sold_on), max(sold_on), count(*)
            FROM sale WHERE campaign_id IS NOT NULL
            GROUP BY campaign_id ORDER BY campaign_id
            """,
        ),
        Side(ADS, "SELECT id, starts_on, ends_on FROM campaign ORDER BY id"),
        "campaign {}",
    ),
)

COPIES: tuple[Rule, ...] = (
    Same(
        "PromptSales knows the campaigns as they are",
        Side(SALES, _CAMPAIGN),
        Side(ADS, _CAMPAIGN),
        1,
        ("name", "status", "starts_on", "ends_on", "budget", "content_id"),
        "campaign {}",
    ),
    Same(
        "PromptSales knows the clients as they are",
        Side(SALES, "SELECT id, name, country, CAST(credit * 100 AS bigint), created_on FROM client ORDER BY id"),
        Side(
            CRM,
            """
            SELECT c.id, c.name, y.country, CAST(c.credit * 100 AS bigint), c.created_on
            FROM client c JOIN city y ON y.id = c.city_id
            ORDER BY c.id
            """,
        ),
        1,
        ("name", "country", "credit", "created_on"),
        "client {}",
    ),
    Same(
        "PromptSales knows the contents as they are",
        Side(SALES, "SELECT id, title, hashtags FROM content ORDER BY id"),
        CONTENT_TEXTS,
        1,
        ("title", "hashtags"),
        "content {}",
    ),
)

SUMS: tuple[Rule, ...] = (
    _sum(
        "a client's month is the sum of its sales and interactions",
        "client {}, {}",
        ("sales", "revenue in hundredths", "interactions"),
        Side(
            SALES,
            """
            SELECT client_id, MONTH_NO(month), sales, CAST(revenue * 100 AS bigint), interactions
            FROM client_month ORDER BY client_id, month
            """,
        ),
        Side(
            CRM,
            """
            SELECT client_id, month_no, CAST(sum(sales) AS int), CAST(sum(revenue) * 100 AS bigint), CAST(sum(said) AS int)
            FROM (
                SELECT client_id, MONTH_NO(sold_on) AS month_no, 1 AS sales, total AS revenue, 0 AS said
                FROM sale WHERE status <> 'cancelled'
                UNION ALL
                SELECT client_id, MONTH_NO(happened_at), 0, 0, 1 FROM interaction
            ) x
            GROUP BY client_id, month_no ORDER BY client_id, month_no
            """,
        ),
    ),
    _sum(
        "a campaign's month is the sum of its metrics",
        "campaign {}, {}",
        ("impressions", "clicks", "conversions", "cost in hundredths"),
        Side(
            SALES,
            """
            SELECT campaign_id, MONTH_NO(month), impressions, clicks, conversions, CAST(cost * 100 AS bigint)
            FROM campaign_month ORDER BY campaign_id, month
            """,
        ),
        Side(
            ADS,
            """
            SELECT
                campaign_id, month_no, CAST(sum(impressions) AS bigint), CAST(sum(clicks) AS bigint),
                CAST(sum(conversions) AS bigint), CAST(sum(cost) * 100 AS bigint)
            FROM (
                SELECT
                    a.campaign_id, MONTH_NO(m.day) AS month_no, CAST(m.impressions AS bigint) AS impressions,
                    CAST(m.clicks AS bigint) AS clicks, CAST(m.conversions AS bigint) AS conversions, m.cost
                FROM metric_day m JOIN ad a ON a.id = m.ad_id
            ) x
            GROUP BY campaign_id, month_no ORDER BY campaign_id, month_no
            """,
        ),
    ),
    _sum(
        "a campaign's month is the sum of its sales",
        "campaign {}, {}",
        ("sales", "revenue in hundredths"),
        Side(
            SALES,
            """
            SELECT campaign_id, MONTH_NO(month), sales, CAST(revenue * 100 AS bigint)
            FROM campaign_month ORDER BY campaign_id, month
            """,
        ),
        Side(
            CRM,
            """
            SELECT campaign_id, month_no, count(*), CAST(sum(total) * 100 AS bigint)
            FROM (
                SELECT campaign_id, MONTH_NO(sold_on) AS month_no, total
                FROM sale WHERE status <> 'cancelled' AND campaign_id IS NOT NULL
            ) x
            GROUP BY campaign_id, month_no ORDER BY campaign_id, month_no
            """,
        ),
    ),
    _sum(
        "a content's month is the sum of its ads' metrics",
        "content {}, {}",
        ("impressions", "clicks"),
        Side(
            SALES,
            "SELECT content_id, MONTH_NO(month), impressions, clicks FROM content_month ORDER BY content_id, month",
        ),
        Side(
            ADS,
            """
            SELECT content_id, month_no, CAST(sum(impressions) AS bigint), CAST(sum(clicks) AS bigint)
            FROM (
                SELECT
                    a.content_id, MONTH_NO(m.day) AS month_no, CAST(m.impressions AS bigint) AS impressions,
                    CAST(m.clicks AS bigint) AS clicks
                FROM metric_day m JOIN ad a ON a.id = m.ad_id
                WHERE a.content_id IS NOT NULL
            ) x
            GROUP BY content_id, month_no ORDER BY content_id, month_no
            """,
        ),
    ),
    _sum(
        "a content's month is the sum of the interactions with it",
        "content {}, {}",
        ("interactions",),
        Side(SALES, "SELECT content_id, MONTH_NO(month), interactions FROM content_month ORDER BY content_id, month"),
        Side(
            CRM,
            """
            SELECT content_id, month_no, count(*)
            FROM (
                SELECT content_id, MONTH_NO(happened_at) AS month_no FROM interaction WHERE content_id IS NOT NULL
            ) x
            GROUP BY content_id, month_no ORDER BY content_id, month_no
            """,
        ),
    ),
    _sum(
        "a month is the sum over clients and campaigns",
        "{}",
        ("cost in hundredths", "sales", "revenue in hundredths", "interactions"),
        Side(
            SALES,
            """
            SELECT MONTH_NO(month), CAST(cost * 100 AS bigint), sales, CAST(revenue * 100 AS bigint), interactions
            FROM month_summary ORDER BY month
            """,
        ),
        Side(
            SALES,
            """
            SELECT
                MONTH_NO(month), CAST(sum(cost) * 100 AS bigint), CAST(sum(sales) AS bigint),
                CAST(sum(revenue) * 100 AS bigint), CAST(sum(said) AS bigint)
            FROM (
                SELECT month, cost, 0 AS sales, 0 AS revenue, 0 AS said FROM campaign_month
                UNION ALL
                SELECT month, 0, sales, revenue, interactions FROM client_month
            ) x
            GROUP BY month ORDER BY month
            """,
        ),
    ),
)

DOCUMENTS: tuple[Rule, ...] = (
    Same("each content has its picture, each picture its content", PICTURES_OF, PICTURE_FILES, 1, (), "picture {}"),
    Pictures(),
    Same(
        "each content has its vector, each vector its content",
        Side(SALES, "SELECT DISTINCT content_id FROM content_embedding ORDER BY content_id"),
        CONTENT_IDS,
        1,
        (),
        "content {}",
    ),
    *(
        Exists(f"what the cache holds of a {kind} exists", CACHE_IDS[kind], there, f"{kind} {{}}")
        for kind, there in (
            ("client", Side(CRM, "SELECT id FROM client ORDER BY id")),
            ("campaign", _CAMPAIGN_IDS),
            ("content", CONTENT_IDS),
            ("plan", Side(SALES, "SELECT id FROM plan ORDER BY id")),
        )
    ),
)

RULES: tuple[Rule, ...] = (*IN_ADS, *IN_CRM, Decrypts(), *IDS, *COPIES, *SUMS, *FACTS, *DOCUMENTS)
"""All of them."""
