-- What the ETL remembers: how far it has come, what each run did, what it could not merge.

CREATE SCHEMA staging;
COMMENT ON SCHEMA staging IS 'Where the ETL lays down what it has read, before it merges';

CREATE TABLE etl_watermark (
    source varchar(40) CONSTRAINT pk_etl_watermark PRIMARY KEY,
    kind varchar(20) NOT NULL,
    upper_bound text NOT NULL,
    origin text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    compared_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_etl_watermark_kind CHECK (kind IN ('xid8', 'rowversion', 'resume_token', 'outbox', 'stream_id'))
);
COMMENT ON TABLE etl_watermark IS 'Up to where a source has been merged; set in the transaction that merges. No row: nothing yet';
COMMENT ON COLUMN etl_watermark.upper_bound IS 'What the next window begins with, as text, in the form that kind says';
COMMENT ON COLUMN etl_watermark.origin IS 'Which database the source was: another one (restored, made anew) is read from the beginning';
COMMENT ON COLUMN etl_watermark.compared_at IS 'When all of the source was read last, and compared';

CREATE TABLE etl_run (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_etl_run PRIMARY KEY,
    source varchar(40) NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    window_from text, -- NULL: from the beginning
    window_to text,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_inserted bigint NOT NULL DEFAULT 0,
    rows_updated bigint NOT NULL DEFAULT 0,
    rows_deleted bigint NOT NULL DEFAULT 0,
    rows_quarantined bigint NOT NULL DEFAULT 0,
    status varchar(12) NOT NULL DEFAULT 'running',
    message text,
    round bigint, -- one go over all sources; NULL: a run by hand
    touched_at timestamptz, -- the last sign of life before its end
    CONSTRAINT uq_etl_run_round_source UNIQUE (round, source),
    CONSTRAINT ck_etl_run_status CHECK (status IN ('running', 'succeeded', 'failed')),
    CONSTRAINT ck_etl_run_finished CHECK ((status = 'running') = (finished_at IS NULL)),
    CONSTRAINT ck_etl_run_times CHECK (finished_at >= started_at),
    CONSTRAINT ck_etl_run_window CHECK (status <> 'succeeded' OR window_to IS NOT NULL),
    CONSTRAINT ck_etl_run_message CHECK (status <> 'failed' OR coalesce(message, '') <> ''),
    CONSTRAINT ck_etl_run_rows CHECK (
        least(rows_read, rows_inserted, rows_updated, rows_deleted, rows_quarantined) >= 0 AND rows_quarantined <= rows_read
    )
);
CREATE UNIQUE INDEX ux_etl_run_running ON etl_run (source) WHERE status = 'running'; -- no two runs of a source overlap
CREATE INDEX ix_etl_run_source_started_at ON etl_run (source, started_at DESC);

CREATE TABLE etl_quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_etl_quarantine PRIMARY KEY,
    source varchar(40) NOT NULL,
    key text NOT NULL,
    payload jsonb NOT NULL,
    reason text NOT NULL,
    run_id bigint NOT NULL CONSTRAINT fk_etl_quarantine_run REFERENCES etl_run (id),
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    CONSTRAINT ck_etl_quarantine_reason CHECK (reason <> '')
);
COMMENT ON TABLE etl_quarantine IS 'Rows that could not be merged; a row of a source is in it once until it is resolved';
CREATE UNIQUE INDEX ux_etl_quarantine_open ON etl_quarantine (source, key) WHERE resolved_at IS NULL;
CREATE INDEX ix_etl_quarantine_run_id ON etl_quarantine (run_id);

CREATE VIEW etl_state AS
SELECT
    source,
    watermark.upper_bound,
    last_run.status AS last_status,
    last_run.started_at AS last_started_at,
    last_run.message AS last_message,
    last_success.finished_at AS last_succeeded_at,
    now() - last_success.started_at AS lag, -- what was committed before that run began has arrived
    coalesce(quarantined.rows, 0) AS quarantined
FROM (SELECT source FROM etl_run UNION SELECT source FROM etl_watermark) AS sources
LEFT JOIN etl_watermark AS watermark USING (source)
LEFT JOIN LATERAL (
    SELECT status, started_at, message FROM etl_run WHERE etl_run.source = sources.source ORDER BY started_at DESC, id DESC LIMIT 1
) AS last_run ON true
LEFT JOIN LATERAL (
    SELECT started_at, finished_at FROM etl_run
    WHERE etl_run.source = sources.source AND status = 'succeeded' ORDER BY started_at DESC, id DESC LIMIT 1
) AS last_success ON true
LEFT JOIN (
    SELECT source, count(*) AS rows FROM etl_quarantine WHERE resolved_at IS NULL GROUP BY source
) AS quarantined USING (source);
COMMENT ON VIEW etl_state IS 'One row for each source: how its last run went and how far behind it is';

CREATE VIEW etl_log AS
SELECT
    round,
    source,
    status,
    started_at,
    finished_at,
    round(extract(epoch FROM finished_at - started_at), 3) AS seconds,
    window_from,
    window_to,
    rows_read,
    rows_inserted,
    rows_updated,
    rows_deleted,
    rows_quarantined,
    message
FROM etl_run;
COMMENT ON VIEW etl_log IS 'What each run of the ETL did, for people; a round has one run of each source';
