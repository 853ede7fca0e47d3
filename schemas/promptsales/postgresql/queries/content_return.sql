-- What has each content brought through the campaigns that show it, and which of them was best? (JOIN, COALESCE, CASE)
SELECT
    content.id,
    content.title,
    count(DISTINCT shown.id) AS campaigns,
    coalesce(sum(shown.revenue), 0) AS revenue,
    coalesce(max(best.name), 'none yet') AS best_campaign,
    CASE
        WHEN count(shown.id) = 0 THEN 'unused'
        WHEN coalesce(sum(shown.revenue), 0) = 0 THEN 'shown'
        ELSE 'selling'
    END AS state
FROM content
LEFT JOIN (
    SELECT
        c.id,
        c.content_id,
        c.name,
        coalesce(sum(part.revenue), 0) AS revenue,
        row_number() OVER (PARTITION BY c.content_id ORDER BY coalesce(sum(part.revenue), 0) DESC, c.id) AS place
    FROM campaign AS c
    LEFT JOIN campaign_month AS part ON c.id = part.campaign_id
    GROUP BY c.id, c.content_id, c.name
) AS shown ON content.id = shown.content_id
LEFT JOIN campaign AS best ON shown.id = best.id AND shown.place = 1 AND shown.revenue > 0
GROUP BY content.id, content.title
ORDER BY revenue DESC, content.id;
