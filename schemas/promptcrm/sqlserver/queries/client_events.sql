-- What happened with a client? Sales, opportunities and interactions, the newest first.
SELECT TOP (@places)
    e.happened_at,
    e.kind,
    e.id,
    e.what,
    e.amount,
    e.campaign_id,
    e.content_id,
    e.note
FROM (
    SELECT
        CAST(s.sold_on AS datetime2(3)) AS happened_at,
        'sale' AS kind,
        s.id,
        s.status AS what,
        s.total AS amount,
        s.campaign_id,
        CAST(NULL AS int) AS content_id,
        CAST(NULL AS nvarchar(200)) AS note
    FROM dbo.sale AS s
    WHERE s.client_id = @client_id
    UNION ALL
    SELECT
        CAST(o.opened_on AS datetime2(3)) AS happened_at,
        'opportunity' AS kind,
        o.id,
        o.stage AS what,
        o.amount,
        o.campaign_id,
        CAST(NULL AS int) AS content_id,
        CAST(NULL AS nvarchar(200)) AS note
    FROM dbo.opportunity AS o
    WHERE o.client_id = @client_id
    UNION ALL
    SELECT
        i.happened_at,
        'interaction' AS kind,
        i.id,
        i.kind AS what,
        CAST(NULL AS decimal(12, 2)) AS amount,
        i.campaign_id,
        i.content_id,
        i.note
    FROM dbo.interaction AS i
    WHERE i.client_id = @client_id
) AS e
WHERE
    e.happened_at < CAST(@before AS datetime2(3))
    OR (
        e.happened_at = CAST(@before AS datetime2(3))
        AND (e.kind > CAST(@after_kind AS varchar(12)) OR (e.kind = CAST(@after_kind AS varchar(12)) AND e.id > @after_id))
    )
ORDER BY e.happened_at DESC, e.kind, e.id;
