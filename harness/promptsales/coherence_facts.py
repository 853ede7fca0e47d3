"""What the ETL keeps of single rows in PromptSales (schema ``fact``) is what its sources hold, month by month.

PromptSales that was seeded and never read by the ETL has sums and no facts: then there is nothing that could differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.promptsales.coherence import Tally
from harness.promptsales.coherence_kinds import Same
from harness.promptsales.coherence_sources import Side, Sources

_SALES = "promptsales"


@dataclass(frozen=True, slots=True)
class Facts:
    """The rows of one kind: ``same`` compares them, if PromptSales has any in ``table``."""

    table: str
    same: Same

    @property
    def name(self) -> str:
        """As the comparison's."""
        return self.same.name

    @property
    def needs(self) -> tuple[str, ...]:
        """Both sides."""
        return self.same.needs

    def run(self, sources: Sources) -> Tally:
        """Look whether there are facts, and walk along both sides if there are."""
        for logical in self.needs:
            sources.client(logical)  # one that is not there is told, facts or no facts
        found = list(sources.rows(Side(_SALES, f"SELECT 1 FROM {self.table} LIMIT 1")))  # noqa: S608 - a word of our own
        tally = self.same.run(sources) if found else Tally()
        tally.checked += 1
        return tally


def _facts(name: str, table: str, logical: str, columns: tuple[tuple[str, str], ...], theirs: str, day: str) -> Facts:
    """``columns``: what is shown and what is summed; ``theirs``: what the source is asked, with the facts' columns."""
    summed = ", ".join(f"CAST(sum({sql}) AS bigint)" for _, sql in columns)
    ask = f"SELECT month_no, count(*), {summed} FROM ({{}}) x GROUP BY month_no ORDER BY month_no"  # noqa: S608
    ours = f"SELECT f.*, MONTH_NO(f.{day}) AS month_no FROM {table} f"  # noqa: S608
    return Facts(
        table,
        Same(
            name,
            Side(_SALES, ask.format(ours)),
            Side(logical, ask.format(theirs)),
            1,
            ("rows", *(shown for shown, _ in columns)),
            "{}",
            month=True,
            zero=True,
        ),
    )


FACTS = (
    _facts(
        "the ETL keeps the metrics that PromptAds holds",
        "fact.metric_day",
        "promptads",
        (
            ("ads", "ad_id"),
            ("impressions", "impressions"),
            ("clicks", "clicks"),
            ("conversions", "conversions"),
            ("cost in hundredths", "CAST(cost * 100 AS bigint)"),
        ),
        """
        SELECT
            MONTH_NO(m.day) AS month_no, CAST(m.ad_id AS bigint) AS ad_id, CAST(m.impressions AS bigint) AS impressions,
            CAST(m.clicks AS bigint) AS clicks, CAST(m.conversions AS bigint) AS conversions, m.cost
        FROM metric_day m
        """,
        "day",
    ),
    _facts(
        "the ETL keeps the sales that PromptCrm holds",
        "fact.sale",
        "promptcrm",
        (
            ("ids", "id"),
            ("clients", "client_id"),
            ("campaigns", "coalesce(campaign_id, 0)"),
            ("cancelled", "CASE status WHEN 'cancelled' THEN 1 ELSE 0 END"),
            ("total in hundredths", "CAST(total * 100 AS bigint)"),
        ),
        """
        SELECT
            MONTH_NO(s.sold_on) AS month_no, s.id, CAST(s.client_id AS bigint) AS client_id,
            CAST(s.campaign_id AS bigint) AS campaign_id, s.status, s.total
        FROM sale s
        """,
        "day",
    ),
    _facts(
        "the ETL keeps the interactions that PromptCrm holds",
        "fact.interaction",
        "promptcrm",
        (
            ("ids", "id"),
            ("clients", "client_id"),
            ("campaigns", "coalesce(campaign_id, 0)"),
            ("contents", "coalesce(content_id, 0)"),
        ),
        """
        SELECT
            MONTH_NO(i.happened_at) AS month_no, i.id, CAST(i.client_id AS bigint) AS client_id,
            CAST(i.campaign_id AS bigint) AS campaign_id, CAST(i.content_id AS bigint) AS content_id
        FROM interaction i
        """,
        "happened_at",
    ),
)
"""One for each kind of row that sums are made of; that an ad's campaign and content are right, the sums show."""
