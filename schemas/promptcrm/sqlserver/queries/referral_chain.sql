-- Who was won by a client's word, directly or through others, to a given depth? (recursive CTE)
WITH referred AS (
    SELECT
        c.id,
        c.name,
        0 AS depth,
        CAST(CONCAT('/', c.id, '/') AS varchar(4000)) AS path
    FROM dbo.client AS c
    WHERE c.id = @client_id
    UNION ALL
    SELECT
        c.id,
        c.name,
        r.depth + 1,
        CAST(CONCAT(r.path, c.id, '/') AS varchar(4000))
    FROM referred AS r
    INNER JOIN dbo.client AS c ON r.id = c.referred_by
    -- Nobody twice: clients who referred each other in a ring end the chain.
    WHERE r.depth < @depth AND r.path NOT LIKE CONCAT('%/', c.id, '/%')
)

SELECT
    id AS client_id,
    name AS client,
    depth,
    path
FROM referred
ORDER BY depth, id
OPTION (MAXRECURSION 0); -- not 100: the depth is given
