-- Which contents are shown by active ads on both of two channels? (INTERSECT)
SELECT a.content_id
FROM dbo.ad AS a
INNER JOIN dbo.channel AS h ON a.channel_id = h.id
WHERE a.status = 'active' AND a.content_id IS NOT NULL AND h.code = @channel_1
INTERSECT
SELECT a.content_id
FROM dbo.ad AS a
INNER JOIN dbo.channel AS h ON a.channel_id = h.id
WHERE a.status = 'active' AND a.content_id IS NOT NULL AND h.code = @channel_2
ORDER BY content_id;
