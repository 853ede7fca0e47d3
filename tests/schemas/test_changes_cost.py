"""What a reading of changes costs grows with the changes, not with the tables: counted in pages that the server looks at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from following import following, truth

from fixtures.databases import Database

pytestmark = pytest.mark.etl

FEW, MANY = 2_000, 20_000

_ADS = """
INSERT INTO channel (id, code, name) VALUES (1, 'a', 'A');
INSERT INTO audience (id, name, country, age_from, age_to) VALUES (1, 'a', 'CR', 20, 30);
INSERT INTO campaign (id, code, name, objective, status, starts_on, ends_on, budget, audience_id)
SELECT n, n, n, 'leads', 'active', '2026-01-01', '2026-02-01', 1, 1 FROM generate_series({first}, {last}) AS n;
INSERT INTO ad (id, campaign_id, channel_id, headline, status)
SELECT n, n, 1, n, 'active' FROM generate_series({first}, {last}) AS n;
INSERT INTO metric_day (ad_id, day, impressions, clicks, conversions, cost)
SELECT n, '2026-01-01', 1, 1, 1, 1 FROM generate_series({first}, {last}) AS n;
"""
_CRM = """
INSERT INTO city (id, name, country, latitude, longitude, population)
SELECT n, n, 'CR', 1, 1, 1 FROM generate_series(1, 100) AS n ON CONFLICT DO NOTHING;
INSERT INTO client (id, code, name, kind, city_id, latitude, longitude, created_on)
SELECT n, n, n, 'person', CASE WHEN n <= 10 THEN 1 ELSE 2 + n % 99 END, 1, 1, '2026-01-01'
FROM generate_series({first}, {last}) AS n;
INSERT INTO sale (id, client_id, sold_on, status, total)
SELECT n, n, '2026-01-01', 'open', 1 FROM generate_series({first}, {last}) AS n;
INSERT INTO interaction (id, client_id, kind, happened_at, note)
SELECT n, n, 'call', now(), 'x' FROM generate_series({first}, {last}) AS n;
"""
_CHANGES = {
    "promptads": [
        "UPDATE campaign SET name = 'x' WHERE id % 400 = 1{of}",
        "UPDATE ad SET content_id = 1 WHERE id % 400 = 2{of}",
        "DELETE FROM metric_day WHERE ad_id % 400 = 3{of}",
        "UPDATE metric_day SET clicks = 0, conversions = 0 WHERE ad_id % 400 = 4{of}",
    ],
    "promptcrm": [
        "UPDATE client SET name = 'x' WHERE id % 400 = 1{of}",
        "UPDATE city SET country = 'X{of}' WHERE id = 1",
        "DELETE FROM interaction WHERE id % 400 = 2{of}",
        "UPDATE sale SET status = 'closed' WHERE id % 400 = 3{of}",
        "UPDATE interaction SET note = 'y' WHERE id % 400 = 4{of}",
    ],
}
"""Five rows of 2,000 each, and a city of ten clients; ``of`` is another digit each time."""


def pages(connection: Any, origin: Any, watermark: Any) -> int:
    """Pages that the server looks at to answer, with a plan that is warm."""
    asked = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT * FROM changes_since(%s, %s)"
    for _ in range(2):  # the first time it looks things up in its catalogue
        (told,) = connection.execute(asked, [origin, watermark]).fetchone()
    plan = (told if isinstance(told, list) else json.loads(told))[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("mode", ["auto", "force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("known", [True, False], ids=["statistics of today", "statistics of long ago"])
@pytest.mark.parametrize("logical", ["promptads", "promptcrm"])
def test_cost_grows_with_the_change_not_with_the_table(
    logical: str, known: bool, mode: str, request: pytest.FixtureRequest
) -> None:
    database: Database = request.getfixturevalue(f"{logical}_db")
    if database.engine != "postgresql":
        pytest.skip("there is a procedure there: EXEC dbo.changes_since")
    connection = database.connect()
    fill, head = (_ADS, "INSERT INTO campaign") if logical == "promptads" else (_CRM, "INSERT INTO client")
    looked_at = []
    for number, (first, last) in enumerate([(1, FEW), (FEW + 1, MANY)]):
        connection.execute(fill[fill.index(head) * number :].format(first=first, last=last))
        if known or not number:
            connection.execute("ANALYZE")
        follower = following(connection, logical)
        origin, watermark = follower.origin, follower.watermark
        for change in _CHANGES[logical]:
            among = f" AND {'ad_id' if 'ad_id' in change else 'id'} <= {FEW}" if "%" in change else ""
            connection.execute(change.format(of=number).encode() + among.encode())
        assert 20 <= len(follower.read()) <= 40
        assert follower.state == truth(connection, logical)
        connection.execute(f"SET plan_cache_mode = {mode}")
        looked_at.append(pages(connection, origin, watermark))
        connection.execute("SET plan_cache_mode = auto")
    few, many = looked_at
    assert many < pages(connection, None, None) / 4, "so much it is to scan"
    assert many < 2 * few + 50, "indexes are a level deeper, and what was changed before lies about"
