-- What did a campaign do day by day?
SELECT
    m.day,
    SUM(CAST(m.impressions AS bigint)) AS impressions,
    SUM(CAST(m.clicks AS bigint)) AS clicks,
    SUM(CAST(m.conversions AS bigint)) AS conversions,
    SUM(m.cost) AS cost
FROM ad AS a
INNER JOIN metric_day AS m ON a.id = m.ad_id
WHERE
    a.campaign_id = :campaign_id
    AND m.day BETWEEN CAST(:day_first AS date) AND CAST(:day_last AS date)
    AND m.day > CAST(:after_day AS date)
GROUP BY m.day
ORDER BY m.day
LIMIT :places;
