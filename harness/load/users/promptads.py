"""Users of PromptAds: they move money between budgets, look at campaigns, write down what ads did."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from locust import tag, task

from harness.load.users.base import PromptUser

_TAKE = {
    "postgresql": "UPDATE budget SET amount = amount - $1 WHERE id = $2 AND amount >= $1",
    "sqlserver": "UPDATE dbo.budget SET amount = amount - ? WHERE id = ? AND amount >= ?",
}
_GIVE = {
    "postgresql": "UPDATE budget SET amount = amount + $1 WHERE id = $2",
    "sqlserver": "UPDATE dbo.budget SET amount = amount + ? WHERE id = ?",
}
_BUDGETS = {
    "postgresql": """
        SELECT c.name, c.status, ch.code, b.amount, b.spent
        FROM campaign AS c
        INNER JOIN budget AS b ON c.id = b.campaign_id
        INNER JOIN channel AS ch ON b.channel_id = ch.id
        WHERE c.id = $1 ORDER BY ch.code""",
    "sqlserver": """
        SELECT c.name, c.status, ch.code, b.amount, b.spent
        FROM dbo.campaign AS c
        INNER JOIN dbo.budget AS b ON c.id = b.campaign_id
        INNER JOIN dbo.channel AS ch ON b.channel_id = ch.id
        WHERE c.id = ? ORDER BY ch.code""",
}
_FIRST = date(2026, 1, 16)


class Planner(PromptUser):
    """Plans."""

    logical = "promptads"

    def learn(self) -> None:
        """Budgets, campaigns, ads."""
        self.budgets = self.ids("budget", lambda: self.column("SELECT id FROM budget"), least=2)
        self.campaigns = self.ids("campaign", lambda: self.column("SELECT id FROM campaign"))
        self.ads = self.ids("ad", lambda: self.column("SELECT id FROM ad"))
        self._metric = self.statement("record_metric_day")

    @tag("write")
    @task(3)
    def move_budget(self) -> None:
        """Money from one budget to another, in one transaction. The two come in any order: deadlocks on purpose."""
        giver, taker = self.budgets.two()
        amount = Decimal(random.randrange(1, 500)) / 100
        take, give, again = self.own(_TAKE), self.own(_GIVE), () if self.target.engine == "postgresql" else (amount,)

        def work(client: Any) -> None:
            if client.execute(take, amount, giver, *again):  # else there is not so much left
                client.execute(give, amount, taker)

        self.request("move budget", lambda client: client.transaction(work, self.level))

    @tag("read")
    @task(5)
    def campaign_budgets(self) -> None:
        """A campaign's budgets, by channel."""
        campaign = self.campaigns.one()
        self.request("campaign budgets", lambda client: client.query(self.own(_BUDGETS), campaign))

    @tag("write")
    @task(2)
    def record_metric(self) -> None:
        """What an ad did on a day: new, or corrected."""
        impressions = random.randrange(100, 5000)
        clicks = random.randrange(impressions // 10)
        values = self._metric.values(
            ad_id=self.ads.one(),
            day=_FIRST + timedelta(days=random.randrange(28)),
            impressions=impressions,
            clicks=clicks,
            conversions=clicks // 10,
            cost=Decimal(clicks) / 4,
        )
        self.request("record metric", lambda client: client.execute(self._metric.sql, *values))
