-- Which campaigns have a name like this?
SELECT TOP (@places)
    c.id AS campaign_id,
    c.code,
    c.name AS campaign,
    c.objective,
    c.status,
    c.starts_on,
    c.ends_on
FROM dbo.campaign AS c
WHERE LOWER(c.name) LIKE LOWER(CAST(@pattern AS nvarchar(400))) ESCAPE '!' AND c.id > @after_id
ORDER BY c.id;
