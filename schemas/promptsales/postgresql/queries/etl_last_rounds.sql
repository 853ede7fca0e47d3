-- What did each run of the ETL's last rounds do, of those before one round?
SELECT
    round,
    source,
    status,
    started_at,
    finished_at,
    seconds,
    window_from IS NULL AS whole,
    rows_read,
    rows_inserted,
    rows_updated,
    rows_deleted,
    rows_quarantined,
    message
FROM etl_log
WHERE round IN (
    SELECT DISTINCT one.round
    FROM etl_log AS one
    WHERE one.round < coalesce(:before_round::bigint, 9223372036854775807)
    ORDER BY one.round DESC
    LIMIT :most
)
ORDER BY round DESC, source;
