-- Which clients are within so many km of a point, after this distance and id? The nearest first. (STDistance)
SELECT TOP (@places)
    n.client_id,
    n.client,
    t.name AS city,
    t.country,
    n.km
FROM (
    SELECT
        c.id AS client_id,
        c.name AS client,
        c.city_id,
        (here.point.STDistance(geography::Point(c.latitude, c.longitude, 4326))) / 1000 AS km, -- noqa: CP05
        here.km AS reach
    FROM (
        -- A degree of latitude is 110.5 km or more anywhere; towards the poles a degree of longitude shrinks to nothing.
        SELECT
            geography::Point(p.latitude, p.longitude, 4326) AS point, -- noqa: CP05
            p.latitude,
            p.longitude,
            p.km,
            p.km / 110.5 AS up,
            CASE
                WHEN ABS(p.latitude) + p.km / 110.5 > 89 THEN 180
                ELSE p.km / 110.5 / COS(RADIANS(ABS(p.latitude) + p.km / 110.5))
            END AS aside
        FROM (
            SELECT
                CAST(@latitude AS float) AS latitude,
                CAST(@longitude AS float) AS longitude,
                CAST(@km AS float) AS km
        ) AS p
    ) AS here
    -- First the box, of which the index ix_client_place knows; over the 180th meridian it has two parts.
    INNER JOIN dbo.client_card AS c
        ON
            c.latitude BETWEEN here.latitude - here.up AND here.latitude + here.up
            AND (ABS(c.longitude - here.longitude) <= here.aside OR ABS(c.longitude - here.longitude) >= 360 - here.aside)
) AS n
INNER JOIN dbo.city AS t ON n.city_id = t.id
WHERE
    n.km <= n.reach
    AND (
        n.km > CAST(@after_km AS float) OR (n.km = CAST(@after_km AS float) AND n.client_id > @after_id)
    )
ORDER BY n.km, n.client_id;
