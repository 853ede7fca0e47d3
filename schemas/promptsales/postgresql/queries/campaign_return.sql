-- What has each campaign cost and brought in a span of months, and how good is that? (JOIN, COALESCE, CASE)
SELECT
    campaign.id,
    campaign.name,
    coalesce(sum(part.cost), 0) AS cost,
    coalesce(sum(part.revenue), 0) AS revenue,
    round(sum(part.revenue) / nullif(sum(part.cost), 0), 2) AS return_on_spend,
    CASE
        WHEN coalesce(sum(part.cost), 0) = 0 THEN 'no spend'
        WHEN sum(part.revenue) >= 2 * sum(part.cost) THEN 'good'
        WHEN sum(part.revenue) >= sum(part.cost) THEN 'even'
        ELSE 'loss'
    END AS band
FROM campaign
LEFT JOIN campaign_month AS part
    ON campaign.id = part.campaign_id AND part.month BETWEEN :month_first AND :month_last
GROUP BY campaign.id, campaign.name
ORDER BY return_on_spend DESC NULLS LAST, campaign.id;
