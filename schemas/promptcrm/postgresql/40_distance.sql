-- What geography's STDistance is on SQL Server: here on a sphere (haversine), which is within 0.6 % of the ellipsoid.

CREATE FUNCTION distance_km(
    latitude_1 double precision, longitude_1 double precision, latitude_2 double precision, longitude_2 double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- 6371.0088 km: the mean radius (IUGG). least: rounding must not take the root above 1, where asin ends.
RETURN 2 * 6371.0088 * asin(least(1, sqrt(
    sin(radians(latitude_2 - latitude_1) / 2) ^ 2
    + cos(radians(latitude_1)) * cos(radians(latitude_2)) * sin(radians(longitude_2 - longitude_1) / 2) ^ 2
)));
