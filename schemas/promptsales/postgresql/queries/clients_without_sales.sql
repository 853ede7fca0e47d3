-- Which clients that are older than a day have bought nothing since, and when did they last? (LEFT JOIN, COALESCE)
SELECT
    client.id,
    client.name,
    coalesce(to_char(max(part.month) FILTER (WHERE part.sales > 0), 'YYYY-MM'), 'never') AS last_sale,
    coalesce(sum(part.interactions) FILTER (WHERE part.month >= :day::date), 0) AS interactions_since
FROM client
LEFT JOIN client_month AS part ON client.id = part.client_id
WHERE client.created_on < :day::date
GROUP BY client.id, client.name
HAVING coalesce(sum(part.sales) FILTER (WHERE part.month >= :day::date), 0) = 0
ORDER BY client.id;
