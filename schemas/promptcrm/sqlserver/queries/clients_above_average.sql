-- Which clients bought for more than the average buyer of their country? (CTE)
WITH revenue AS (
    SELECT
        c.id,
        c.name,
        t.country,
        SUM(s.total) AS revenue
    FROM dbo.client AS c
    INNER JOIN dbo.city AS t ON c.city_id = t.id
    INNER JOIN dbo.sale AS s ON c.id = s.client_id
    WHERE s.status <> 'cancelled'
    GROUP BY c.id, c.name, t.country
),

average AS (
    SELECT
        country,
        AVG(revenue) AS revenue
    FROM revenue
    GROUP BY country
)

SELECT
    r.id AS client_id,
    r.name AS client,
    r.country,
    r.revenue
FROM revenue AS r
INNER JOIN average AS a ON r.country = a.country
WHERE r.revenue > a.revenue
ORDER BY r.country, r.revenue DESC, r.id;
