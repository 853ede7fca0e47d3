-- Which contents have come farthest, all or those with a hashtag, from one place of that order on?
SELECT
    id,
    title,
    hashtags,
    campaigns,
    active_campaigns,
    impressions,
    clicks,
    interactions,
    click_rate,
    views,
    likes
FROM content_reach
WHERE
    (:hashtag::text IS NULL OR :hashtag::text = ANY (hashtags))
    AND (
        :after_id::int IS NULL
        OR impressions < :after_impressions::bigint
        OR (impressions = :after_impressions::bigint AND id > :after_id::int)
    )
ORDER BY impressions DESC, id
LIMIT :most;
