-- How did the revenue of clients grow, month by month? For a range of clients. (PARTITION BY)
SELECT
    m.client_id,
    m.month,
    m.revenue,
    SUM(m.revenue) OVER (PARTITION BY m.client_id ORDER BY m.month ROWS UNBOUNDED PRECEDING) AS revenue_so_far
FROM (
    SELECT
        client_id,
        CAST(DATE_TRUNC('month', sold_on) AS date) AS month,
        SUM(total) AS revenue
    FROM sale
    WHERE status <> 'cancelled' AND client_id BETWEEN :client_first AND :client_last
    GROUP BY client_id, CAST(DATE_TRUNC('month', sold_on) AS date)
) AS m
ORDER BY m.client_id, m.month;
