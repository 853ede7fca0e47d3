-- On how many days was a campaign measured, and on which first and last?
SELECT
    COUNT(DISTINCT m.day) AS days,
    MIN(m.day) AS first_day,
    MAX(m.day) AS last_day
FROM dbo.ad AS a
INNER JOIN dbo.metric_day AS m ON a.id = m.ad_id
WHERE a.campaign_id = @campaign_id;
