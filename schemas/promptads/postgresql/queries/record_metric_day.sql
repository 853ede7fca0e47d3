-- Write what an ad did on a day: a new row, or the row of that day corrected. (MERGE)
-- Two that write the same new day at once: one gets a unique violation, and repeats.
MERGE INTO metric_day AS m
USING (
    VALUES (
        CAST(:ad_id AS int), CAST(:day AS date),
        CAST(:impressions AS int), CAST(:clicks AS int), CAST(:conversions AS int), CAST(:cost AS decimal(12, 2))
    )
) AS n (ad_id, day, impressions, clicks, conversions, cost)
    ON m.ad_id = n.ad_id AND m.day = n.day
WHEN MATCHED THEN
    UPDATE SET impressions = n.impressions, clicks = n.clicks, conversions = n.conversions, cost = n.cost
WHEN NOT MATCHED THEN
    INSERT (ad_id, day, impressions, clicks, conversions, cost)
    VALUES (n.ad_id, n.day, n.impressions, n.clicks, n.conversions, n.cost);
