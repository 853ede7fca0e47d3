-- Until which day are there figures of ads?
SELECT MAX(m.day) AS day
FROM metric_day AS m;
