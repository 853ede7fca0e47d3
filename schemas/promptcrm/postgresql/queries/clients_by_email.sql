-- Which clients have this e-mail address? By its hashes under all data keys.
SELECT
    c.id,
    c.code,
    c.name
FROM client_card AS c
WHERE c.id IN (SELECT e.id FROM client AS e WHERE e.email_hash = ANY(CAST(:value AS bytea[])))
ORDER BY c.id;
