-- What has one campaign cost and brought in each of its last months?
SELECT
    month,
    impressions,
    clicks,
    conversions,
    cost,
    sales,
    revenue,
    round(revenue / nullif(cost, 0), 2) AS return_on_spend
FROM campaign_month
WHERE campaign_id = :id
ORDER BY month DESC
LIMIT :most;
