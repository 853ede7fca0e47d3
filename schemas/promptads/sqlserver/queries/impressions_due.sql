-- What is due for a campaign's impressions, of which every started thousand is billed? (CEILING)
SELECT
    c.id AS campaign_id,
    c.name AS campaign,
    SUM(CAST(m.impressions AS bigint)) AS impressions,
    CEILING(SUM(CAST(m.impressions AS bigint)) / 1000.0) * CAST(@price AS decimal(12, 2)) AS due
FROM dbo.campaign AS c
INNER JOIN dbo.ad AS a ON c.id = a.campaign_id
INNER JOIN dbo.metric_day AS m ON a.id = m.ad_id
GROUP BY c.id, c.name
ORDER BY c.id;
