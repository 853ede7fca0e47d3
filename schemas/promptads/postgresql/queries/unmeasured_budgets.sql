-- Which campaigns have money on a channel where nothing has been measured yet? (EXCEPT)
SELECT
    c.id AS campaign_id,
    c.name AS campaign,
    h.code AS channel
FROM (
    SELECT campaign_id, channel_id
    FROM budget
    WHERE amount > 0
    EXCEPT
    SELECT a.campaign_id, a.channel_id
    FROM ad AS a
    INNER JOIN metric_day AS m ON a.id = m.ad_id
) AS b
INNER JOIN campaign AS c ON b.campaign_id = c.id
INNER JOIN channel AS h ON b.channel_id = h.id
ORDER BY c.id, h.id;
