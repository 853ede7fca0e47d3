-- How many days of an ad cost how much, in bands of a given width? (FLOOR)
SELECT
    b.band * b.width AS band_from,
    COUNT(*) AS ad_days,
    SUM(b.cost) AS cost
FROM (
    SELECT
        m.cost,
        w.width,
        FLOOR(m.cost / w.width) AS band
    FROM dbo.metric_day AS m
    CROSS JOIN (SELECT CAST(@width AS decimal(12, 2)) AS width) AS w
) AS b
GROUP BY b.band, b.width
ORDER BY band_from;
