-- Which sources of the ETL are behind by more than an interval, failed last, or have rows in quarantine? (JOIN, COALESCE, CASE)
SELECT
    source,
    CASE
        WHEN last_status = 'failed' THEN 'failed'
        WHEN lag IS NULL THEN 'never succeeded'
        WHEN lag > :allowed::interval THEN 'behind'
        ELSE 'rows in quarantine'
    END AS trouble,
    coalesce(last_message, '') AS message,
    last_succeeded_at,
    quarantined
FROM etl_state
WHERE last_status = 'failed' OR lag IS NULL OR lag > :allowed::interval OR quarantined > 0
ORDER BY source;
