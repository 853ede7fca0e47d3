-- What changed since: how the ETL reads no more than the changes, and loses none. postgresql/50_changes.sql is the stand-in's port.
--
-- Every insert and update gives the row the database's next rowversion, but a transaction may commit after a later one. The watermark is
-- MIN_ACTIVE_ROWVERSION(): all below it has been committed or rolled back. It is taken before the SNAPSHOT transaction that reads begins, so what
-- is below it is in that snapshot; what was committed in between is read now and once more the next time. None is lost, and the merge is idempotent.
-- https://learn.microsoft.com/sql/t-sql/functions/min-active-rowversion-transact-sql
--
-- Written from the documentation: there was no SQL Server to run it on, only a Babelfish (docs/verified.md).
-- TRUNCATE TABLE passes triggers by (where no foreign key forbids it: metric_day): after it, EXEC dbo.renew_origin;
-- noqa: disable=LT02
-- (sqlfluff would have BEGIN further in than its IF or WHILE.)
SET ANSI_NULLS ON;
SET QUOTED_IDENTIFIER ON;
GO

INSERT INTO dbo.etl_origin DEFAULT VALUES;
GO

-- A row whose key is changed is another one: the old one is gone.
CREATE TRIGGER dbo.tr_campaign_gone ON dbo.campaign
AFTER DELETE, UPDATE
AS
BEGIN
    SET NOCOUNT ON;
    IF NOT (UPDATE(id)) AND EXISTS (SELECT 1 FROM inserted)
        RETURN;
    INSERT INTO dbo.tombstone (kind, id)
    SELECT 'campaign', d.id
    FROM deleted AS d
    WHERE NOT EXISTS (SELECT 1 FROM inserted AS i WHERE i.id = d.id);
END;
GO

CREATE TRIGGER dbo.tr_ad_gone ON dbo.ad
AFTER DELETE, UPDATE
AS
BEGIN
    SET NOCOUNT ON;
    IF NOT (UPDATE(id)) AND EXISTS (SELECT 1 FROM inserted)
        RETURN;
    INSERT INTO dbo.tombstone (kind, id)
    SELECT 'ad', d.id
    FROM deleted AS d
    WHERE NOT EXISTS (SELECT 1 FROM inserted AS i WHERE i.id = d.id);
END;
GO

CREATE TRIGGER dbo.tr_metric_day_gone ON dbo.metric_day
AFTER DELETE, UPDATE
AS
BEGIN
    SET NOCOUNT ON;
    IF NOT (UPDATE(ad_id) OR UPDATE(day)) AND EXISTS (SELECT 1 FROM inserted)
        RETURN;
    INSERT INTO dbo.tombstone (kind, id, day)
    SELECT 'metric_day', d.ad_id, d.day
    FROM deleted AS d
    WHERE NOT EXISTS (SELECT 1 FROM inserted AS i WHERE i.ad_id = d.ad_id AND i.day = d.day);
END;
GO

-- The database began anew for whoever reads changes: the next reading is of everything.
CREATE PROCEDURE dbo.renew_origin
AS
BEGIN
    SET NOCOUNT ON;
    UPDATE dbo.etl_origin SET origin = NEWID(), purged_to = NULL;
    IF @@ROWCOUNT = 0
        INSERT INTO dbo.etl_origin DEFAULT VALUES;
END;
GO

-- Removes the tombstones of what was deleted before @before (UTC; 30 days ago if not given) and says how many they were. Whoever has not read
-- that far yet reads everything the next time: etl_origin remembers up to where they are removed.
CREATE PROCEDURE dbo.purge_tombstones
    @before datetime2(3) = NULL
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    DECLARE @removed TABLE (row_version binary(8) NOT NULL);
    DECLARE @last binary(8);
    SET @before = COALESCE(@before, DATEADD(DAY, -30, SYSUTCDATETIME()));
    BEGIN TRANSACTION;
    SELECT @last = purged_to FROM dbo.etl_origin WITH (UPDLOCK, HOLDLOCK); -- one at a time
    DELETE FROM dbo.tombstone
    OUTPUT DELETED.row_version INTO @removed (row_version)
    WHERE deleted_at < @before;
    SELECT TOP (1) @last = row_version FROM @removed WHERE @last IS NULL OR row_version > @last ORDER BY row_version DESC;
    UPDATE dbo.etl_origin SET purged_to = @last;
    COMMIT TRANSACTION;
    SELECT COUNT(*) AS purged FROM @removed;
END;
GO

-- All that changed since an earlier call: its origin and watermark are the columns origin and upper_bound of that call's row of kind "window",
-- which is always the first one. Of deleted rows only the key is given; every key is there at most once.
-- whole: this is not what changed, but all there is; what is not among it is no more. So it is without a watermark (NULL), with one
-- that is none, and with one that is not of this database: restored, truncated, tombstones removed that were not read yet.
-- The caller needs no right but to execute it. Errors: 50031 called within a transaction; 50032 etl_origin has no row; 3952 the database
-- does not allow SNAPSHOT (server/10_roles.sql).
CREATE PROCEDURE dbo.changes_since
    @origin nvarchar(200),
    @watermark nvarchar(200)
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    SET IMPLICIT_TRANSACTIONS OFF; -- a driver may have switched it on; the caller's setting is back when this ends
    IF @@TRANCOUNT > 0
        THROW 50031, N'changes are read outside of any transaction: they are read in one of their own', 1;

    DECLARE @upper binary(8) = MIN_ACTIVE_ROWVERSION();
    DECLARE @seen binary(8) = CASE WHEN LEN(@watermark) = 18 THEN TRY_CONVERT(binary(8), @watermark, 1) END;
    DECLARE @now_origin nvarchar(200);
    DECLARE @purged binary(8);
    DECLARE @whole bit = 1;
    -- A restored database has its rows, but not its history: the recovery fork belongs to the identity, where it may be seen.
    -- https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-database-recovery-status-transact-sql
    DECLARE @fork uniqueidentifier = (
        SELECT recovery_fork_guid FROM sys.database_recovery_status WHERE database_id = DB_ID()
    );

    SET TRANSACTION ISOLATION LEVEL SNAPSHOT;
    BEGIN TRANSACTION;
    SELECT @now_origin = CONCAT(origin, N' ', @fork), @purged = purged_to FROM dbo.etl_origin;
    IF @now_origin IS NULL
        THROW 50032, N'etl_origin has no row any more: EXEC dbo.renew_origin makes one', 1;
    IF @origin = @now_origin AND @seen <= @upper AND (@purged IS NULL OR @purged < @seen)
        SET @whole = 0;

    IF @whole = 1
    BEGIN
        SELECT
            CAST(N'window' AS nvarchar(20)) AS kind, CAST(NULL AS bit) AS deleted, CAST(NULL AS bigint) AS id,
            CAST(NULL AS bigint) AS campaign_id, CAST(NULL AS bigint) AS content_id, CAST(NULL AS nvarchar(200)) AS name,
            CAST(NULL AS nvarchar(200)) AS status, CAST(NULL AS date) AS starts_on, CAST(NULL AS date) AS ends_on,
            CAST(NULL AS decimal(12, 2)) AS budget, CAST(NULL AS int) AS version, CAST(NULL AS date) AS day,
            CAST(NULL AS bigint) AS impressions, CAST(NULL AS bigint) AS clicks, CAST(NULL AS bigint) AS conversions,
            CAST(NULL AS decimal(12, 2)) AS cost, @whole AS whole, @now_origin AS origin,
            CONVERT(nvarchar(200), @upper, 1) AS upper_bound
        UNION ALL
        SELECT
            N'campaign', CAST(0 AS bit), c.id, NULL, c.content_id, c.name, c.status, c.starts_on, c.ends_on, c.budget,
            c.version, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM dbo.campaign AS c
        UNION ALL
        SELECT
            N'ad', CAST(0 AS bit), a.id, a.campaign_id, a.content_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
            NULL, NULL, NULL, NULL, NULL
        FROM dbo.ad AS a
        UNION ALL
        SELECT
            N'metric_day', CAST(0 AS bit), m.ad_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, m.day, m.impressions,
            m.clicks, m.conversions, m.cost, NULL, NULL, NULL
        FROM dbo.metric_day AS m
        ORDER BY kind DESC; -- the window comes first
    END;
    ELSE
    BEGIN
        SELECT
            CAST(N'window' AS nvarchar(20)) AS kind, CAST(NULL AS bit) AS deleted, CAST(NULL AS bigint) AS id,
            CAST(NULL AS bigint) AS campaign_id, CAST(NULL AS bigint) AS content_id, CAST(NULL AS nvarchar(200)) AS name,
            CAST(NULL AS nvarchar(200)) AS status, CAST(NULL AS date) AS starts_on, CAST(NULL AS date) AS ends_on,
            CAST(NULL AS decimal(12, 2)) AS budget, CAST(NULL AS int) AS version, CAST(NULL AS date) AS day,
            CAST(NULL AS bigint) AS impressions, CAST(NULL AS bigint) AS clicks, CAST(NULL AS bigint) AS conversions,
            CAST(NULL AS decimal(12, 2)) AS cost, @whole AS whole, @now_origin AS origin,
            CONVERT(nvarchar(200), @upper, 1) AS upper_bound
        UNION ALL
        SELECT
            N'campaign', CAST(0 AS bit), c.id, NULL, c.content_id, c.name, c.status, c.starts_on, c.ends_on, c.budget,
            c.version, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM dbo.campaign AS c
        WHERE c.row_version >= @seen
        UNION ALL
        SELECT
            N'ad', CAST(0 AS bit), a.id, a.campaign_id, a.content_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
            NULL, NULL, NULL, NULL, NULL
        FROM dbo.ad AS a
        WHERE a.row_version >= @seen
        UNION ALL
        SELECT
            N'metric_day', CAST(0 AS bit), m.ad_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, m.day, m.impressions,
            m.clicks, m.conversions, m.cost, NULL, NULL, NULL
        FROM dbo.metric_day AS m
        WHERE m.row_version >= @seen
        UNION ALL
        SELECT DISTINCT
            N'campaign', CAST(1 AS bit), t.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
            NULL, NULL, NULL
        FROM dbo.tombstone AS t
        WHERE
            t.kind = 'campaign' AND t.row_version >= @seen
            AND NOT EXISTS (SELECT 1 FROM dbo.campaign AS c WHERE c.id = t.id)
        UNION ALL
        SELECT DISTINCT
            N'ad', CAST(1 AS bit), t.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
            NULL, NULL
        FROM dbo.tombstone AS t
        WHERE
            t.kind = 'ad' AND t.row_version >= @seen
            AND NOT EXISTS (SELECT 1 FROM dbo.ad AS a WHERE a.id = t.id)
        UNION ALL
        SELECT DISTINCT
            N'metric_day', CAST(1 AS bit), t.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, t.day, NULL, NULL, NULL, NULL,
            NULL, NULL, NULL
        FROM dbo.tombstone AS t
        WHERE
            t.kind = 'metric_day' AND t.row_version >= @seen
            AND NOT EXISTS (SELECT 1 FROM dbo.metric_day AS m WHERE m.ad_id = t.id AND m.day = t.day)
        ORDER BY kind DESC
        OPTION (RECOMPILE); -- @seen is known then: the plan is by the indexes
    END;
    COMMIT TRANSACTION;
END;
GO
