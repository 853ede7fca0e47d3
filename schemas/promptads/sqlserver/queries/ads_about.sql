-- Which ads have a word in their headline, however it is written? (LOWER)
SELECT
    id,
    campaign_id,
    headline
FROM dbo.ad
WHERE CHARINDEX(LOWER(@word), LOWER(headline)) > 0
ORDER BY id;
