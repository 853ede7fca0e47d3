-- Which ads does a campaign have?
SELECT
    a.id AS ad_id,
    h.code AS channel,
    a.headline,
    a.status,
    a.content_id
FROM ad AS a
INNER JOIN channel AS h ON a.channel_id = h.id
WHERE a.campaign_id = :campaign_id
ORDER BY a.id
LIMIT :places;
