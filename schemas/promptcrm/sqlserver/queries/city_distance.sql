-- How far is it from one city to another, in km? (STDistance)
SELECT
    a.name AS city_1,
    b.name AS city_2,
    (geography::Point(a.latitude, a.longitude, 4326).STDistance(geography::Point(b.latitude, b.longitude, 4326))) / 1000 AS km -- noqa: CP05
FROM dbo.city AS a
CROSS JOIN dbo.city AS b
WHERE a.id = @city_1 AND b.id = @city_2;
