-- Which clients bought for the most in a span of days? Equal ones share a place. (RANK)
SELECT TOP (@places)
    b.place,
    b.client_id,
    c.name AS client,
    b.country,
    b.sales,
    b.revenue
FROM (
    SELECT
        s.client_id,
        t.country,
        COUNT(*) AS sales,
        SUM(s.total) AS revenue,
        RANK() OVER (ORDER BY SUM(s.total) DESC) AS place
    FROM dbo.sale AS s
    INNER JOIN dbo.client_card AS k ON s.client_id = k.id
    INNER JOIN dbo.city AS t ON k.city_id = t.id
    WHERE
        s.status <> 'cancelled'
        AND s.sold_on BETWEEN CAST(@day_first AS date) AND CAST(@day_last AS date)
        AND CAST(@country AS varchar(2)) IN ('', t.country)
    GROUP BY s.client_id, t.country
) AS b
INNER JOIN dbo.client_card AS c ON b.client_id = c.id
WHERE b.place > @after_place OR (b.place = @after_place AND b.client_id > @after_id)
ORDER BY b.place, b.client_id;
