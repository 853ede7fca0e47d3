-- The linked server "ads": PromptAds, as PromptCrm sees it, and views of its tables in the schema ads.
--
-- EXEC dbo.link_ads @data_source = N'host,port', @database = N'promptads', @user = …, @password = …; to call it again links anew.
-- Any login of this server then reads PromptAds as @user, who should be allowed no more than to read. SQL Server does not let a
-- linked server be made inside a transaction. https://learn.microsoft.com/sql/relational-databases/system-stored-procedures/sp-addlinkedserver-transact-sql
DROP PROCEDURE IF EXISTS dbo.link_ads;
GO

CREATE PROCEDURE dbo.link_ads
    @data_source nvarchar(400),
    @database sysname,
    @user sysname,
    @password nvarchar(128)
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @remote nvarchar(300) = CONCAT(N'ads.', QUOTENAME(@database), N'.dbo.');
    DECLARE @make nvarchar(1000);

    IF EXISTS (SELECT 1 FROM sys.servers WHERE name = N'ads')
        EXEC sp_dropserver @server = N'ads', @droplogins = 'droplogins';
    EXEC sp_addlinkedserver
        @server = N'ads', @srvproduct = N'', @provider = N'MSOLEDBSQL', @datasrc = @data_source, @catalog = @database;
    EXEC sp_addlinkedsrvlogin
        @rmtsrvname = N'ads', @useself = N'FALSE', @locallogin = NULL, @rmtuser = @user, @rmtpassword = @password;

    IF SCHEMA_ID(N'ads') IS NULL
        EXEC sp_executesql N'CREATE SCHEMA ads';
    -- Four-part names: server, database, schema, table. The columns are named one by one, as a view keeps those that it was made with.
    DROP VIEW IF EXISTS ads.campaign;
    SET @make = CONCAT(
        N'CREATE VIEW ads.campaign AS ',
        N'SELECT id, code, name, objective, status, starts_on, ends_on, budget, audience_id, content_id FROM ',
        @remote, N'campaign'
    );
    EXEC sp_executesql @make;
    DROP VIEW IF EXISTS ads.budget;
    SET @make = CONCAT(
        N'CREATE VIEW ads.budget AS SELECT id, campaign_id, channel_id, amount, spent FROM ', @remote, N'budget'
    );
    EXEC sp_executesql @make;
    DROP VIEW IF EXISTS ads.channel;
    SET @make = CONCAT(N'CREATE VIEW ads.channel AS SELECT id, code, name FROM ', @remote, N'channel');
    EXEC sp_executesql @make;
END;
GO
