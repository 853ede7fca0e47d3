-- Which campaigns have a name like this?
SELECT
    c.id AS campaign_id,
    c.code,
    c.name AS campaign,
    c.objective,
    c.status,
    c.starts_on,
    c.ends_on
FROM campaign AS c
WHERE LOWER(c.name) LIKE LOWER(CAST(:pattern AS varchar(400))) ESCAPE '!' AND c.id > :after_id
ORDER BY c.id
LIMIT :places;
