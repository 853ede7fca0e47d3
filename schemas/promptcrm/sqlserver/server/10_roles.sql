-- Who reads changes, and who reads for the MCP server: each may do what is granted here, and nothing else. Safe to run twice, and by
-- several processes at once.
BEGIN TRY
    IF DATABASE_PRINCIPAL_ID('promptcrm_etl') IS NULL
        CREATE ROLE promptcrm_etl;
END TRY
BEGIN CATCH
    IF ERROR_NUMBER() <> 15023 -- somebody else has made it
        THROW;
END CATCH;
GRANT EXECUTE ON dbo.changes_since TO promptcrm_etl;
GO

BEGIN TRY
    IF DATABASE_PRINCIPAL_ID('promptcrm_mcp') IS NULL
        CREATE ROLE promptcrm_mcp;
END TRY
BEGIN CATCH
    IF ERROR_NUMBER() <> 15023
        THROW;
END CATCH;
GO

BEGIN TRY
    IF DATABASE_PRINCIPAL_ID('promptcrm_mcp_steward') IS NULL
        CREATE ROLE promptcrm_mcp_steward;
END TRY
BEGIN CATCH
    IF ERROR_NUMBER() <> 15023
        THROW;
END CATCH;
GO

-- Of clients the view, which has nothing encrypted. What a steward sees is decrypted by the view client_sensitive: 50_encryption.sql.
GRANT SELECT ON dbo.city TO promptcrm_mcp, promptcrm_mcp_steward;
GRANT SELECT ON dbo.client_card TO promptcrm_mcp, promptcrm_mcp_steward;
GRANT SELECT ON dbo.sale TO promptcrm_mcp, promptcrm_mcp_steward;
GRANT SELECT ON dbo.opportunity TO promptcrm_mcp, promptcrm_mcp_steward;
GRANT SELECT ON dbo.interaction TO promptcrm_mcp, promptcrm_mcp_steward;
GO

-- changes_since reads in one. Waits for the transactions that are under way.
IF EXISTS (SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND snapshot_isolation_state <> 1)
    ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON; -- noqa: CP02
GO
