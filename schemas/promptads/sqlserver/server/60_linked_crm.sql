-- The linked server "crm": PromptCrm, as PromptAds sees it, and views of what it may see of it in the schema crm: nothing sensitive.
--
-- EXEC dbo.link_crm @data_source = N'host,port', @database = N'promptcrm', @user = …, @password = …; to call it again links anew.
-- Any login of this server then reads PromptCrm as @user, who should be allowed no more than to read. SQL Server does not let a
-- linked server be made inside a transaction. https://learn.microsoft.com/sql/relational-databases/system-stored-procedures/sp-addlinkedserver-transact-sql
DROP PROCEDURE IF EXISTS dbo.link_crm;
GO

CREATE PROCEDURE dbo.link_crm
    @data_source nvarchar(400),
    @database sysname,
    @user sysname,
    @password nvarchar(128)
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @remote nvarchar(300) = CONCAT(N'crm.', QUOTENAME(@database), N'.dbo.');
    DECLARE @make nvarchar(1000);

    IF EXISTS (SELECT 1 FROM sys.servers WHERE name = N'crm')
        EXEC sp_dropserver @server = N'crm', @droplogins = 'droplogins';
    EXEC sp_addlinkedserver
        @server = N'crm', @srvproduct = N'', @provider = N'MSOLEDBSQL', @datasrc = @data_source, @catalog = @database;
    EXEC sp_addlinkedsrvlogin
        @rmtsrvname = N'crm', @useself = N'FALSE', @locallogin = NULL, @rmtuser = @user, @rmtpassword = @password;

    IF SCHEMA_ID(N'crm') IS NULL
        EXEC sp_executesql N'CREATE SCHEMA crm';
    -- Four-part names: server, database, schema, table.
    DROP VIEW IF EXISTS crm.client;
    SET @make = CONCAT(
        N'CREATE VIEW crm.client AS SELECT id, code, name, kind, city_id, campaign_id, created_on FROM ', @remote, N'client'
    );
    EXEC sp_executesql @make;
    DROP VIEW IF EXISTS crm.sale;
    SET @make = CONCAT(
        N'CREATE VIEW crm.sale AS SELECT id, client_id, campaign_id, sold_on, status, total FROM ', @remote, N'sale'
    );
    EXEC sp_executesql @make;
END;
GO
