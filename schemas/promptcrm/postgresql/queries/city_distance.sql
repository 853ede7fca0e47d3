-- How far is it from one city to another, in km? (haversine)
SELECT
    a.name AS city_1,
    b.name AS city_2,
    DISTANCE_KM(a.latitude, a.longitude, b.latitude, b.longitude) AS km
FROM city AS a
CROSS JOIN city AS b
WHERE a.id = :city_1 AND b.id = :city_2;
