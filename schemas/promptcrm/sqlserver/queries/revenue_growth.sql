-- How did the revenue of clients grow, month by month? For a range of clients. (PARTITION BY)
SELECT
    m.client_id,
    m.month,
    m.revenue,
    SUM(m.revenue) OVER (PARTITION BY m.client_id ORDER BY m.month ROWS UNBOUNDED PRECEDING) AS revenue_so_far
FROM (
    SELECT
        client_id,
        DATEFROMPARTS(YEAR(sold_on), MONTH(sold_on), 1) AS month,
        SUM(total) AS revenue
    FROM dbo.sale
    WHERE status <> 'cancelled' AND client_id BETWEEN @client_first AND @client_last
    GROUP BY client_id, DATEFROMPARTS(YEAR(sold_on), MONTH(sold_on), 1)
) AS m
ORDER BY m.client_id, m.month;
