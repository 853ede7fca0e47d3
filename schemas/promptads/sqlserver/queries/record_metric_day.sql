-- Write what an ad did on a day: a new row, or the row of that day corrected. (MERGE)
-- HOLDLOCK: without it two that write the same new day at once could both find nothing to match.
MERGE INTO dbo.metric_day WITH (HOLDLOCK) AS m
USING (VALUES (@ad_id, @day, @impressions, @clicks, @conversions, @cost)) AS n(ad_id, day, impressions, clicks, conversions, cost)
    ON m.ad_id = n.ad_id AND m.day = n.day
WHEN MATCHED THEN -- noqa: LT02
    UPDATE SET impressions = n.impressions, clicks = n.clicks, conversions = n.conversions, cost = n.cost
WHEN NOT MATCHED THEN -- noqa: LT02
    INSERT (ad_id, day, impressions, clicks, conversions, cost)
    VALUES (n.ad_id, n.day, n.impressions, n.clicks, n.conversions, n.cost);
