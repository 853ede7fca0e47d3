-- Which clients are within so many km of a point, after this distance and id? The nearest first. (haversine)
SELECT
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
        DISTANCE_KM(c.latitude, c.longitude, here.latitude, here.longitude) AS km,
        here.km AS reach
    FROM (
        -- A degree of latitude is 110.5 km or more anywhere; towards the poles a degree of longitude shrinks to nothing.
        SELECT
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
                CAST(:latitude AS double precision) AS latitude,
                CAST(:longitude AS double precision) AS longitude,
                CAST(:km AS double precision) AS km
        ) AS p
    ) AS here
    -- First the box, of which the index ix_client_place knows; over the 180th meridian it has two parts.
    INNER JOIN client_card AS c
        ON
            c.latitude BETWEEN here.latitude - here.up AND here.latitude + here.up
            AND (ABS(c.longitude - here.longitude) <= here.aside OR ABS(c.longitude - here.longitude) >= 360 - here.aside)
) AS n
INNER JOIN city AS t ON n.city_id = t.id
WHERE
    n.km <= n.reach
    AND (
        n.km > CAST(:after_km AS double precision) OR (n.km = CAST(:after_km AS double precision) AND n.client_id > :after_id)
    )
ORDER BY n.km, n.client_id
LIMIT :places;
