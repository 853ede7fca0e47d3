-- What has each of the last months cost and brought, the newest first?
SELECT
    month,
    cost,
    sales,
    revenue,
    interactions,
    margin,
    return_on_spend,
    growth,
    trend
FROM month_board
ORDER BY month DESC
LIMIT :most;
