-- What did a campaign do on each channel, and what was it to cost there?
SELECT
    h.code AS channel,
    COALESCE(b.amount, 0) AS budget,
    COALESCE(t.impressions, 0) AS impressions,
    COALESCE(t.clicks, 0) AS clicks,
    COALESCE(t.conversions, 0) AS conversions,
    COALESCE(t.cost, 0) AS cost
FROM channel AS h
LEFT JOIN budget AS b ON h.id = b.channel_id AND b.campaign_id = :campaign_id
LEFT JOIN (
    SELECT
        a.channel_id,
        SUM(CAST(m.impressions AS bigint)) AS impressions,
        SUM(CAST(m.clicks AS bigint)) AS clicks,
        SUM(CAST(m.conversions AS bigint)) AS conversions,
        SUM(m.cost) AS cost
    FROM ad AS a
    INNER JOIN metric_day AS m ON a.id = m.ad_id
    WHERE a.campaign_id = :campaign_id
    GROUP BY a.channel_id
) AS t ON h.id = t.channel_id
WHERE b.id IS NOT NULL OR t.channel_id IS NOT NULL
ORDER BY h.code;
