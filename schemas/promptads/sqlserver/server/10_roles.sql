-- Who reads changes, and who reads for the MCP server: each may do what is granted here, and nothing else. Safe to run twice, and by
-- several processes at once.
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

BEGIN TRY
    IF DATABASE_PRINCIPAL_ID('promptads_mcp') IS NULL
        CREATE ROLE promptads_mcp;
END TRY
BEGIN CATCH
    IF ERROR_NUMBER() <> 15023
        THROW;
END CATCH;
GO

GRANT SELECT ON dbo.channel TO promptads_mcp;
GRANT SELECT ON dbo.audience TO promptads_mcp;
GRANT SELECT ON dbo.campaign TO promptads_mcp;
GRANT SELECT ON dbo.budget TO promptads_mcp;
GRANT SELECT ON dbo.ad TO promptads_mcp;
GRANT SELECT ON dbo.metric_day TO promptads_mcp;
GO

-- changes_since reads in one. Waits for the transactions that are under way.
IF EXISTS (SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND snapshot_isolation_state <> 1)
    ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON; -- noqa: CP02
GO
