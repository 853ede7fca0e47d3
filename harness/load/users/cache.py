"""Users of the cache: campaigns through it (cache-aside), the rate limiter before it."""

from __future__ import annotations

import json
import random
from typing import Any

from locust import tag, task

from harness.load.users.base import Beside, PromptUser
from harness.promptsales.cache import RateLimiter

_TOTALS = "SELECT name, status, cost, sales, revenue, band FROM campaign_performance WHERE id = $1"
_LIMIT, _SECONDS = 10, 1.0


class Visitor(PromptUser):
    """Visits."""

    logical = "cache"

    def on_start(self) -> None:
        """Connect to both, the cache and PromptSales behind it."""
        self.sales = Beside(self, "promptsales")
        super().on_start()

    def on_stop(self) -> None:
        """Disconnect from both."""
        super().on_stop()
        if hasattr(self, "sales"):
            self.sales.close()

    def learn(self) -> None:
        """Campaigns."""
        ask = self.sales.client.query
        self.campaigns = self.ids("campaign", lambda: [int(row[0]) for row in ask("SELECT id FROM campaign")])
        self._limiter = RateLimiter(self.client.client, "load", _LIMIT, _SECONDS, self.client.keys)

    @tag("read")
    @task(6)
    def read_campaign(self) -> None:
        """A campaign's totals: from the cache, or out of PromptSales into it. Hits and misses are counted apart."""
        campaign = self.campaigns.one()
        missed = False

        def load() -> str:
            nonlocal missed
            missed = True
            rows = self.sales.request("campaign for the cache", lambda client: client.query(_TOTALS, campaign))
            return json.dumps([str(value) for value in rows[0]] if rows else [])

        def work(client: Any) -> str:
            text: str = client.fetch(client.keys.key("campaign_summary", campaign=campaign), load)
            return text

        if self.request("read campaign, hit", work) is not None and missed:
            self._was_a_miss()

    def _was_a_miss(self) -> None:
        """What was just counted as a hit was none. No other greenlet has run since."""
        kind = self.load.tally.kind("read campaign, miss", self.target.label, self.target.engine)
        kind.done.append(self._kinds["read campaign, hit"].done.pop())

    @tag("write")
    @task(3)
    def rate_limit(self) -> None:
        """A request of somebody's; those that the limiter does not let through are counted apart."""
        subject = f"user-{random.randrange(5)}"
        decision = self.request("rate limit, let through", lambda client: client.hit(self._limiter, subject))
        if decision is not None and not decision.allowed:
            kind = self.load.tally.kind("rate limit, held back", self.target.label, self.target.engine)
            kind.done.append(self._kinds["rate limit, let through"].done.pop())

    @tag("write")
    @task(1)
    def change_campaign(self) -> None:
        """Somebody has changed a campaign: its totals leave the cache."""
        campaign = self.campaigns.one()
        self.request(
            "forget campaign",
            lambda client: client.invalidate(client.keys.key("campaign_summary", campaign=campaign)),
        )
