-- What has each month of a span cost and brought, against the month before?
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
WHERE month BETWEEN :month_first AND :month_last
ORDER BY month;
