-- Which campaigns run on a day, and what did they cost until then? Those that end first come first.
SELECT
    c.id AS campaign_id,
    c.name AS campaign,
    c.objective,
    c.starts_on,
    c.ends_on,
    c.budget,
    COALESCE((
        SELECT SUM(m.cost)
        FROM ad AS a
        INNER JOIN metric_day AS m ON a.id = m.ad_id
        WHERE a.campaign_id = c.id AND m.day <= CAST(:day AS date)
    ), 0) AS spent
FROM campaign AS c
WHERE
    c.status = 'active'
    AND CAST(:day AS date) BETWEEN c.starts_on AND c.ends_on
    AND CAST(:objective AS varchar(20)) IN ('', c.objective)
    AND (c.ends_on > CAST(:after_day AS date) OR (c.ends_on = CAST(:after_day AS date) AND c.id > :after_id))
ORDER BY c.ends_on, c.id
LIMIT :places;
