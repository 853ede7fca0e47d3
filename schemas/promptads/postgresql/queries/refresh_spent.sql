-- Bring what is spent of each budget up to what the metrics say. (UPDATE … FROM (SELECT …))
UPDATE budget
SET spent = m.cost
FROM (
    SELECT
        a.campaign_id,
        a.channel_id,
        SUM(d.cost) AS cost
    FROM ad AS a
    INNER JOIN metric_day AS d ON a.id = d.ad_id
    GROUP BY a.campaign_id, a.channel_id
) AS m
WHERE budget.campaign_id = m.campaign_id AND budget.channel_id = m.channel_id AND budget.spent <> m.cost;
