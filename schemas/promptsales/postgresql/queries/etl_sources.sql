-- How far has each source of the ETL come, how did its last run end, and how old is what it has brought? (JOIN, COALESCE)
SELECT
    state.source,
    state.last_status,
    state.last_started_at,
    state.last_succeeded_at,
    state.last_message,
    extract(EPOCH FROM state.lag)::float8 AS lag_seconds,
    extract(EPOCH FROM now() - watermark.updated_at)::float8 AS watermark_age_seconds,
    state.quarantined,
    coalesce(last_run.rows_read, 0) AS rows_read,
    coalesce(last_run.rows_inserted, 0) AS rows_inserted,
    coalesce(last_run.rows_updated, 0) AS rows_updated,
    coalesce(last_run.rows_deleted, 0) AS rows_deleted
FROM etl_state AS state
LEFT JOIN etl_watermark AS watermark ON state.source = watermark.source
LEFT JOIN LATERAL (
    SELECT
        log.rows_read,
        log.rows_inserted,
        log.rows_updated,
        log.rows_deleted
    FROM etl_log AS log
    WHERE log.source = state.source AND log.started_at = state.last_started_at
    ORDER BY log.round DESC NULLS LAST
    LIMIT 1
) AS last_run ON true
ORDER BY state.source;
