-- Which ads have a word in their headline, however it is written? (LOWER)
SELECT
    id,
    campaign_id,
    headline
FROM ad
WHERE POSITION(LOWER(:word) IN LOWER(headline)) > 0
ORDER BY id;
