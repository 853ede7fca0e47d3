-- Who is this client? Of what is encrypted, only whether it is there.
SELECT
    c.id AS client_id,
    c.code,
    c.name AS client,
    c.kind,
    t.name AS city,
    t.country,
    c.campaign_id,
    c.referred_by,
    c.credit,
    c.created_on,
    c.has_tax_id,
    c.has_email,
    c.has_phone
FROM dbo.client_card AS c
INNER JOIN dbo.city AS t ON c.city_id = t.id
WHERE c.id = @client_id;
