-- Bring what is spent of each budget up to what the metrics say. (UPDATE … FROM (SELECT …))
UPDATE b
SET b.spent = m.cost
FROM dbo.budget AS b
INNER JOIN (
    SELECT
        a.campaign_id,
        a.channel_id,
        SUM(d.cost) AS cost
    FROM dbo.ad AS a
    INNER JOIN dbo.metric_day AS d ON a.id = d.ad_id
    GROUP BY a.campaign_id, a.channel_id
) AS m ON b.campaign_id = m.campaign_id AND b.channel_id = m.channel_id
WHERE b.spent <> m.cost;
