-- Which ads does a campaign have?
SELECT TOP (@places)
    a.id AS ad_id,
    h.code AS channel,
    a.headline,
    a.status,
    a.content_id
FROM dbo.ad AS a
INNER JOIN dbo.channel AS h ON a.channel_id = h.id
WHERE a.campaign_id = @campaign_id
ORDER BY a.id;
