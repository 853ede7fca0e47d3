"""Users of PromptSales: they look at its dashboard."""

from __future__ import annotations

from datetime import date

from locust import tag, task

from harness.load.users.base import PromptUser


class Analyst(PromptUser):
    """Looks."""

    logical = "promptsales"

    def learn(self) -> None:
        """Months and campaigns."""
        months = [row[0] for row in self.client.query("SELECT month FROM month_summary ORDER BY month DESC")]
        numbers = self.ids("months", lambda: list(range(len(months))))
        self.months, self._dates = numbers, months
        self.campaigns = self.ids("campaign", lambda: self.column("SELECT id FROM campaign"))
        self._month, self._pace = self.statement("month_by_campaign"), self.statement("budget_pace")

    @tag("read")
    @task(4)
    def month_board(self) -> None:
        """All months, each against the one before."""
        self.request(
            "month board", lambda client: client.query("SELECT * FROM month_board ORDER BY month DESC LIMIT 24")
        )

    @tag("read")
    @task(3)
    def month_by_campaign(self) -> None:
        """What made a month."""
        values = self._month.values(month=self._date())
        self.request("month by campaign", lambda client: client.query(self._month.sql, *values))

    @tag("read")
    @task(2)
    def budget_pace(self) -> None:
        """Which campaigns spend too fast."""
        values = self._pace.values(day=self._date())
        self.request("budget pace", lambda client: client.query(self._pace.sql, *values))

    @tag("read")
    @task(1)
    def campaign_performance(self) -> None:
        """What a campaign has cost and brought."""
        campaign = self.campaigns.one()
        sql = "SELECT * FROM campaign_performance WHERE id = $1"
        self.request("campaign performance", lambda client: client.query(sql, campaign))

    def _date(self) -> date:
        found: date = self._dates[self.months.one()]
        return found
