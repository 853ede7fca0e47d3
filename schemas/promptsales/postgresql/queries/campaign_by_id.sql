-- What is known of one campaign itself?
SELECT
    id,
    name,
    status,
    starts_on,
    ends_on,
    budget,
    content_id
FROM campaign
WHERE id = :id;
