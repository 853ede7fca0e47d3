"""What must hold inside of one database, and no constraint can say."""

from __future__ import annotations

from dataclasses import dataclass

from harness.promptsales.coherence import LeftOut, Rule, Tally
from harness.promptsales.coherence_kinds import Holds
from harness.promptsales.coherence_sources import Side, Sources

ADS, CRM = "promptads", "promptcrm"


@dataclass(frozen=True, slots=True)
class ActiveShare:
    """Of the campaigns, 30 % are active: exactly, or if that is no whole number, the nearest."""

    name: str = "exactly 30 % of the campaigns are active"
    needs: tuple[str, ...] = (ADS,)

    def run(self, sources: Sources) -> Tally:
        """Count."""
        sql = "SELECT count(*), sum(CASE WHEN status = 'active' THEN 1 ELSE 0 END) FROM campaign"
        ((count, active),) = sources.rows(Side(ADS, sql))
        if not count:
            raise LeftOut("there are no campaigns")
        tally = Tally(checked=int(count))
        wanted = (3 * int(count) + 5) // 10
        if int(active) != wanted:
            tally.breaks(f"{active} of {count} are active, not {wanted}", abs(int(active) - wanted))
        return tally


IN_ADS: tuple[Rule, ...] = (
    ActiveShare(),
    Holds(
        "a campaign's budget is the sum of its channels'",
        ADS,
        "SELECT count(*) FROM campaign",
        """
        SELECT c.id
        FROM campaign c
        LEFT JOIN (SELECT campaign_id, sum(amount) AS amount FROM budget GROUP BY campaign_id) b ON b.campaign_id = c.id
        WHERE c.budget <> coalesce(b.amount, 0)
        ORDER BY c.id
        """,
        "campaign {}",
    ),
    Holds(
        "what was spent is the sum of the ads' costs, and within the budget",
        ADS,
        "SELECT count(*) FROM budget",
        """
        SELECT b.campaign_id, b.channel_id
        FROM budget b
        LEFT JOIN (
            SELECT a.campaign_id, a.channel_id, sum(m.cost) AS cost
            FROM metric_day m JOIN ad a ON a.id = m.ad_id
            GROUP BY a.campaign_id, a.channel_id
        ) s ON s.campaign_id = b.campaign_id AND s.channel_id = b.channel_id
        WHERE b.spent <> coalesce(s.cost, 0) OR b.spent > b.amount
        ORDER BY b.campaign_id, b.channel_id
        """,
        "campaign {}, channel {}",
    ),
    Holds(
        "an ad runs on a channel that its campaign has a budget for",
        ADS,
        "SELECT count(*) FROM ad",
        """
        SELECT a.id
        FROM ad a LEFT JOIN budget b ON b.campaign_id = a.campaign_id AND b.channel_id = a.channel_id
        WHERE b.id IS NULL
        ORDER BY a.id
        """,
        "ad {}",
    ),
    Holds(
        "a campaign's dates enclose its metrics",
        ADS,
        "SELECT count(*) FROM metric_day",
        """
        SELECT m.ad_id, m.day
        FROM metric_day m JOIN ad a ON a.id = m.ad_id JOIN campaign c ON c.id = a.campaign_id
        WHERE m.day < c.starts_on OR m.day > c.ends_on
        ORDER BY m.ad_id, m.day
        """,
        "ad {} on {}",
    ),
)

IN_CRM: tuple[Rule, ...] = (
    Holds(
        "a sale's total is the sum of its lines",
        CRM,
        "SELECT count(*) FROM sale",
        """
        SELECT s.id
        FROM sale s
        LEFT JOIN (SELECT sale_id, sum(quantity * unit_price) AS total FROM sale_line GROUP BY sale_id) l
            ON l.sale_id = s.id
        WHERE s.total <> coalesce(l.total, 0)
        ORDER BY s.id
        """,
        "sale {}",
    ),
    Holds(
        "nothing was sold to a client before it was one",
        CRM,
        "SELECT count(*) FROM sale",
        """
        SELECT s.id FROM sale s JOIN client c ON c.id = s.client_id
        WHERE s.sold_on < c.created_on
        ORDER BY s.id
        """,
        "sale {}",
    ),
    Holds(
        "nothing was said to a client before it was one",
        CRM,
        "SELECT count(*) FROM interaction",
        """
        SELECT i.id FROM interaction i JOIN client c ON c.id = i.client_id
        WHERE CAST(i.happened_at AS date) < c.created_on
        ORDER BY i.id
        """,
        "interaction {}",
    ),
    Holds(
        "a sale came of a won opportunity of the same client",
        CRM,
        "SELECT count(*) FROM sale WHERE opportunity_id IS NOT NULL",
        """
        SELECT s.id FROM sale s JOIN opportunity o ON o.id = s.opportunity_id
        WHERE o.client_id <> s.client_id OR o.stage <> 'won'
        ORDER BY s.id
        """,
        "sale {}",
    ),
    Holds(
        "a client was referred by one that came before",
        CRM,
        "SELECT count(*) FROM client WHERE referred_by IS NOT NULL",
        """
        SELECT c.id FROM client c JOIN client r ON r.id = c.referred_by
        WHERE r.id = c.id OR r.created_on > c.created_on
        ORDER BY c.id
        """,
        "client {}",
    ),
)
