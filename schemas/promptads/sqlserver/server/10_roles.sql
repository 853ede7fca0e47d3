-- Who reads changes, and may do nothing else here. Safe to run twice, and by several processes at once.
BEGIN TRY
    IF DATABASE_PRINCIPAL_ID('promptads_etl') IS NULL
        CREATE ROLE promptads_etl;
END TRY
BEGIN CATCH
    IF ERROR_NUMBER() <> 15023 -- somebody else has made it
        THROW;
END CATCH;
GRANT EXECUTE ON dbo.changes_since TO promptads_etl;
GO

-- changes_since reads in one. Waits for the transactions that are under way.
IF EXISTS (SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND snapshot_isolation_state <> 1)
    ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON; -- noqa: CP02
GO
