-- What is this campaign, and whom is it for?
SELECT
    c.id AS campaign_id,
    c.code,
    c.name AS campaign,
    c.objective,
    c.status,
    c.starts_on,
    c.ends_on,
    c.budget,
    c.content_id,
    u.name AS audience,
    u.country,
    u.age_from,
    u.age_to
FROM campaign AS c
INNER JOIN audience AS u ON c.audience_id = u.id
WHERE c.id = :campaign_id;
