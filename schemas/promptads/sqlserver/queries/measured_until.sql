-- Until which day are there figures of ads?
SELECT MAX(m.day) AS day
FROM dbo.metric_day AS m;
