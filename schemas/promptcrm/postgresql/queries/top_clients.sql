-- Which clients bought for the most in a span of days? Equal ones share a place. (RANK)
SELECT
    p.place,
    p.client_id,
    c.name AS client,
    t.country,
    p.sales,
    p.revenue
FROM (
    SELECT
        b.place,
        b.client_id,
        b.sales,
        b.revenue
    FROM (
        SELECT
            s.client_id,
            COUNT(*) AS sales,
            SUM(s.total) AS revenue,
            RANK() OVER (ORDER BY SUM(s.total) DESC) AS place
        FROM sale AS s
        WHERE
            s.status <> 'cancelled'
            AND s.sold_on BETWEEN CAST(:day_first AS date) AND CAST(:day_last AS date)
            AND (
                CAST(:country AS varchar(2)) = '' OR s.client_id IN (
                    SELECT k.id FROM client_card AS k
                    INNER JOIN city AS r ON k.city_id = r.id
                    WHERE r.country = CAST(:country AS varchar(2))
                )
            )
        GROUP BY s.client_id
    ) AS b
    WHERE b.place > :after_place OR (b.place = :after_place AND b.client_id > :after_id)
    ORDER BY b.place, b.client_id
    LIMIT :places
) AS p
INNER JOIN client_card AS c ON p.client_id = c.id
INNER JOIN city AS t ON c.city_id = t.id
ORDER BY p.place, p.client_id;
