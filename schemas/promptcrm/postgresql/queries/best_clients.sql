-- Who are the best clients of each country, equal ones alike, in a span of days? (RANK)
SELECT
    b.country,
    b.place,
    b.client_id,
    b.client,
    b.revenue
FROM (
    SELECT
        t.country,
        c.id AS client_id,
        c.name AS client,
        SUM(s.total) AS revenue,
        RANK() OVER (PARTITION BY t.country ORDER BY SUM(s.total) DESC) AS place
    FROM sale AS s
    INNER JOIN client AS c ON s.client_id = c.id
    INNER JOIN city AS t ON c.city_id = t.id
    WHERE s.status <> 'cancelled' AND s.sold_on BETWEEN :day_first AND :day_last
    GROUP BY t.country, c.id, c.name
) AS b
WHERE b.place <= :places
ORDER BY b.country, b.place, b.client_id;
