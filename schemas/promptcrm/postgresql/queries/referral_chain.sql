-- Who was won by a client's word, directly or through others, to a given depth? (recursive CTE)
WITH RECURSIVE referred AS (
    SELECT
        c.id,
        c.name,
        0 AS depth,
        CONCAT('/', c.id, '/') AS path
    FROM client AS c
    WHERE c.id = :client_id
    UNION ALL
    SELECT
        c.id,
        c.name,
        r.depth + 1,
        CONCAT(r.path, c.id, '/')
    FROM referred AS r
    INNER JOIN client AS c ON r.id = c.referred_by
    -- Nobody twice: clients who referred each other in a ring end the chain.
    WHERE r.depth < :depth AND r.path NOT LIKE CONCAT('%/', c.id, '/%')
)

SELECT
    id AS client_id,
    name AS client,
    depth,
    path
FROM referred
ORDER BY depth, id;
