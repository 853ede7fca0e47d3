-- X.509: the sensitive columns of client are encrypted under a symmetric key (AES-256) that the server keeps under a certificate, which
-- is under the database's master key, which is under the server's. SQL Server only, written from its documentation:
-- https://learn.microsoft.com/sql/relational-databases/security/encryption/encrypt-a-column-of-data
--
-- Begin with EXEC dbo.set_up_encryption @master_password = …: nothing secret is in this file. An operator then makes backups
-- of the master key and of the certificate (BACKUP MASTER KEY, BACKUP CERTIFICATE): without them the data is lost with the server.
--
--   sensitive_reader   may read the view client_sensitive
--   sensitive_writer   may call protect_client and the searches; sees no value
--
-- Each ciphertext carries an authenticator of its column and client: copied to another place it decrypts to NULL.
-- Errors: 50021 no master key and no password for one; 50022 no data key yet; 50023 no such client; 50024 a value does not decrypt.
-- noqa: disable=LT02
-- (sqlfluff would have BEGIN further in than its IF or WHILE.)
SET ANSI_NULLS ON;
SET QUOTED_IDENTIFIER ON;
GO

IF DATABASE_PRINCIPAL_ID('sensitive_reader') IS NULL
    CREATE ROLE sensitive_reader;
IF DATABASE_PRINCIPAL_ID('sensitive_writer') IS NULL
    CREATE ROLE sensitive_writer;
GO

-- Makes the next data key. Internal.
CREATE OR ALTER PROCEDURE dbo.make_data_key
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    DECLARE @version int = (SELECT COALESCE(MAX(version), 0) + 1 FROM dbo.data_key);
    DECLARE @name sysname = CONCAT(N'client_data_', @version);
    DECLARE @make nvarchar(400) = CONCAT(
        N'CREATE SYMMETRIC KEY ', @name, N' WITH ALGORITHM = AES_256 ENCRYPTION BY CERTIFICATE promptcrm_sensitive;',
        N' GRANT VIEW DEFINITION ON SYMMETRIC KEY::', @name, N' TO sensitive_reader;'
    );
    BEGIN TRANSACTION;
    EXEC sys.sp_executesql @make;
    INSERT INTO dbo.data_key (version, name, certificate_thumbprint)
    SELECT @version, @name, thumbprint
    FROM sys.certificates
    WHERE name = N'promptcrm_sensitive';
    COMMIT TRANSACTION;
END;
GO

-- Master key, certificate, the secret of the search hashes and the first data key: what of these is not there yet is made.
-- The secret is row 0 of data_key: 32 random bytes, encrypted by the certificate. It outlives the data keys, so a rotation leaves the
-- hashes as they are.
CREATE OR ALTER PROCEDURE dbo.set_up_encryption
    @master_password nvarchar(128) = NULL, -- ASCII, for a database that has no master key yet
    @expires date = NULL -- of the certificate; in five years if not given
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    DECLARE @make nvarchar(1000);
    SET @expires = COALESCE(@expires, DATEADD(YEAR, 5, SYSUTCDATETIME()));
    EXEC sys.sp_getapplock @Resource = N'promptcrm encryption', @LockMode = N'Exclusive', @LockOwner = N'Session';
    BEGIN TRY
        IF NOT EXISTS (SELECT 1 FROM sys.symmetric_keys WHERE name = N'##MS_DatabaseMasterKey##')
        BEGIN
            IF @master_password IS NULL
                THROW 50021, N'the database has no master key: give @master_password, and one will be made', 1;
            SET @make = N'CREATE MASTER KEY ENCRYPTION BY PASSWORD = ' + QUOTENAME(@master_password, N'''');
            EXEC sys.sp_executesql @make;
        END;

        IF CERT_ID(N'promptcrm_sensitive') IS NULL
        BEGIN
            SET @make = CONCAT(
                N'CREATE CERTIFICATE promptcrm_sensitive WITH SUBJECT = ''PromptCrm: sensitive columns of clients'', ',
                N'EXPIRY_DATE = ', QUOTENAME(CONVERT(char(8), @expires, 112), N''''), N';',
                -- What DecryptByKeyAutoCert asks of who reads the view.
                N' GRANT CONTROL ON CERTIFICATE::promptcrm_sensitive TO sensitive_reader;'
            );
            EXEC sys.sp_executesql @make;
        END;

        IF NOT EXISTS (SELECT 1 FROM dbo.data_key WHERE version = 0)
            INSERT INTO dbo.data_key (version, name, wrapped_key, certificate_thumbprint)
            SELECT 0, 'client_search', ENCRYPTBYCERT(certificate_id, CRYPT_GEN_RANDOM(32)), thumbprint
            FROM sys.certificates
            WHERE name = N'promptcrm_sensitive';

        IF NOT EXISTS (SELECT 1 FROM dbo.data_key WHERE version > 0 AND retired_at IS NULL)
            EXEC dbo.make_data_key;

        EXEC sys.sp_releaseapplock @Resource = N'promptcrm encryption', @LockOwner = N'Session';
    END TRY
    BEGIN CATCH
        IF XACT_STATE() <> 0
            ROLLBACK TRANSACTION;
        EXEC sys.sp_releaseapplock @Resource = N'promptcrm encryption', @LockOwner = N'Session';
        THROW;
    END CATCH;
END;
GO

-- The newest data key, opened for the session, and the secret of the search hashes. Internal; the caller closes it.
CREATE OR ALTER PROCEDURE dbo.open_data_key
    @version int OUTPUT,
    @name sysname OUTPUT,
    @secret varbinary(64) OUTPUT
AS
BEGIN
    SET NOCOUNT ON;
    SELECT TOP (1) @version = version, @name = name
    -- Until the caller's transaction ends, a rotation cannot retire this key.
    FROM dbo.data_key WITH (REPEATABLEREAD)
    WHERE version > 0 AND retired_at IS NULL
    ORDER BY version DESC;
    IF @version IS NULL
        THROW 50022, N'there is no data key yet: run set_up_encryption first', 1;
    SELECT @secret = DECRYPTBYCERT(CERT_ID(N'promptcrm_sensitive'), wrapped_key) FROM dbo.data_key WHERE version = 0;
    DECLARE @open nvarchar(400) = CONCAT(
        N'OPEN SYMMETRIC KEY ', QUOTENAME(@name), N' DECRYPTION BY CERTIFICATE promptcrm_sensitive;'
    );
    EXEC sys.sp_executesql @open;
END;
GO

-- Closes that key, if it is open in this session. Internal.
CREATE OR ALTER PROCEDURE dbo.close_data_key @name sysname
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @close nvarchar(400) = CONCAT(N'CLOSE SYMMETRIC KEY ', QUOTENAME(@name), N';');
    IF EXISTS (SELECT 1 FROM sys.openkeys WHERE database_id = DB_ID() AND key_name = @name)
        EXEC sys.sp_executesql @close;
END;
GO

-- Writes the three sensitive values of a client, each as ciphertext and search hash; NULL takes a value away.
CREATE OR ALTER PROCEDURE dbo.protect_client
    @client_id int,
    @tax_id nvarchar(40),
    @email nvarchar(160),
    @phone nvarchar(40)
WITH EXECUTE AS OWNER
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    DECLARE @version int;
    DECLARE @name sysname;
    DECLARE @secret varbinary(64);
    DECLARE @key uniqueidentifier;
    BEGIN TRY
        BEGIN TRANSACTION;
        EXEC dbo.open_data_key @version = @version OUTPUT, @name = @name OUTPUT, @secret = @secret OUTPUT;
        SET @key = KEY_GUID(@name);
        UPDATE dbo.client
        SET
            tax_id_cipher = ENCRYPTBYKEY(@key, @tax_id, 1, CONCAT(N'tax_id:', @client_id)),
            tax_id_hash = dbo.search_hash(@secret, 'tax_id', @tax_id),
            email_cipher = ENCRYPTBYKEY(@key, @email, 1, CONCAT(N'email:', @client_id)),
            email_hash = dbo.search_hash(@secret, 'email', @email),
            phone_cipher = ENCRYPTBYKEY(@key, @phone, 1, CONCAT(N'phone:', @client_id)),
            phone_hash = dbo.search_hash(@secret, 'phone', @phone),
            key_version = @version
        WHERE id = @client_id;
        IF @@ROWCOUNT = 0
            THROW 50023, N'there is no such client', 1;
        COMMIT TRANSACTION;
        EXEC dbo.close_data_key @name = @name;
    END TRY
    BEGIN CATCH
        IF XACT_STATE() <> 0
            ROLLBACK TRANSACTION;
        EXEC dbo.close_data_key @name = @name;
        THROW;
    END CATCH;
END;
GO

-- The values in the clear, for sensitive_reader. NULL where a ciphertext is not of its place.
CREATE OR ALTER VIEW dbo.client_sensitive
AS
SELECT
    id,
    CONVERT(
        nvarchar(40),
        DECRYPTBYKEYAUTOCERT(CERT_ID(N'promptcrm_sensitive'), NULL, tax_id_cipher, 1, CONCAT(N'tax_id:', id))
    ) AS tax_id,
    CONVERT(
        nvarchar(160),
        DECRYPTBYKEYAUTOCERT(CERT_ID(N'promptcrm_sensitive'), NULL, email_cipher, 1, CONCAT(N'email:', id))
    ) AS email,
    CONVERT(
        nvarchar(40),
        DECRYPTBYKEYAUTOCERT(CERT_ID(N'promptcrm_sensitive'), NULL, phone_cipher, 1, CONCAT(N'phone:', id))
    ) AS phone
FROM dbo.client;
GO

-- Who has this value, however it is written? Found by hash: nothing is decrypted but the secret.
CREATE OR ALTER PROCEDURE dbo.find_client_by_tax_id @tax_id nvarchar(40)
WITH EXECUTE AS OWNER
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @hash varbinary(32) = (
        SELECT dbo.search_hash(DECRYPTBYCERT(CERT_ID(N'promptcrm_sensitive'), wrapped_key), 'tax_id', @tax_id)
        FROM dbo.data_key
        WHERE version = 0
    );
    SELECT id, code, name FROM dbo.client WHERE tax_id_hash = @hash ORDER BY id;
END;
GO

CREATE OR ALTER PROCEDURE dbo.find_client_by_email @email nvarchar(160)
WITH EXECUTE AS OWNER
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @hash varbinary(32) = (
        SELECT dbo.search_hash(DECRYPTBYCERT(CERT_ID(N'promptcrm_sensitive'), wrapped_key), 'email', @email)
        FROM dbo.data_key
        WHERE version = 0
    );
    SELECT id, code, name FROM dbo.client WHERE email_hash = @hash ORDER BY id;
END;
GO

CREATE OR ALTER PROCEDURE dbo.find_client_by_phone @phone nvarchar(40)
WITH EXECUTE AS OWNER
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @hash varbinary(32) = (
        SELECT dbo.search_hash(DECRYPTBYCERT(CERT_ID(N'promptcrm_sensitive'), wrapped_key), 'phone', @phone)
        FROM dbo.data_key
        WHERE version = 0
    );
    SELECT id, code, name FROM dbo.client WHERE phone_hash = @hash ORDER BY id;
END;
GO

-- A new data key: every client is encrypted anew under it, in batches that are transactions of their own, then the keys before it are
-- retired. A retired key stays in the server: backups need it. Killed in the middle, the next call goes on with the newest key.
-- Others may write meanwhile. Not to be called inside a transaction.
CREATE OR ALTER PROCEDURE dbo.rotate_data_key @batch int = 5000
AS
BEGIN
    SET NOCOUNT ON;
    SET XACT_ABORT ON;
    DECLARE @version int;
    DECLARE @name sysname;
    DECLARE @secret varbinary(64);
    DECLARE @key uniqueidentifier;
    DECLARE @certificate int = CERT_ID(N'promptcrm_sensitive');
    DECLARE @after int;
    DECLARE @upto int;
    DECLARE @done bit = 0;
    DECLARE @changed TABLE (id int NOT NULL, lost bit NOT NULL);

    EXEC sys.sp_getapplock @Resource = N'promptcrm encryption', @LockMode = N'Exclusive', @LockOwner = N'Session';
    BEGIN TRY
        -- Two keys that are not retired are a rotation that was cut short.
        IF (SELECT COUNT(*) FROM dbo.data_key WHERE version > 0 AND retired_at IS NULL) = 1
            EXEC dbo.make_data_key;
        EXEC dbo.open_data_key @version = @version OUTPUT, @name = @name OUTPUT, @secret = @secret OUTPUT;
        SET @key = KEY_GUID(@name);

        WHILE @done = 0
        BEGIN
            SET @after = (SELECT MIN(id) - 1 FROM dbo.client WHERE key_version < @version);
            WHILE @after IS NOT NULL
            BEGIN
                SET @upto = (
                    SELECT MAX(part.id)
                    FROM (SELECT TOP (@batch) id FROM dbo.client WHERE id > @after ORDER BY id) AS part
                );
                DELETE FROM @changed;
                BEGIN TRANSACTION;
                UPDATE dbo.client
                SET
                    tax_id_cipher = ENCRYPTBYKEY(
                        @key, DECRYPTBYKEYAUTOCERT(@certificate, NULL, tax_id_cipher, 1, CONCAT(N'tax_id:', id)),
                        1, CONCAT(N'tax_id:', id)
                    ),
                    email_cipher = ENCRYPTBYKEY(
                        @key, DECRYPTBYKEYAUTOCERT(@certificate, NULL, email_cipher, 1, CONCAT(N'email:', id)),
                        1, CONCAT(N'email:', id)
                    ),
                    phone_cipher = ENCRYPTBYKEY(
                        @key, DECRYPTBYKEYAUTOCERT(@certificate, NULL, phone_cipher, 1, CONCAT(N'phone:', id)),
                        1, CONCAT(N'phone:', id)
                    ),
                    key_version = @version
                OUTPUT
                    INSERTED.id,
                    CASE
                        WHEN deleted.tax_id_cipher IS NOT NULL AND inserted.tax_id_cipher IS NULL THEN 1
                        WHEN deleted.email_cipher IS NOT NULL AND inserted.email_cipher IS NULL THEN 1
                        WHEN deleted.phone_cipher IS NOT NULL AND inserted.phone_cipher IS NULL THEN 1
                        ELSE 0
                    END
                INTO @changed (id, lost)
                WHERE id > @after AND id <= @upto AND key_version < @version;
                IF EXISTS (SELECT 1 FROM @changed WHERE lost = 1)
                    THROW 50024, N'a value does not decrypt, so the rotation ends here: nothing of this batch was changed', 1;
                COMMIT TRANSACTION;
                SET @after = @upto; -- NULL after the last one
            END;

            -- The update waits for those who write under an older key (open_data_key); what they wrote is seen after it.
            BEGIN TRANSACTION;
            UPDATE dbo.data_key
            SET retired_at = SYSUTCDATETIME()
            WHERE version > 0 AND version < @version AND retired_at IS NULL;
            IF EXISTS (SELECT 1 FROM dbo.client WHERE key_version < @version)
                ROLLBACK TRANSACTION;
            ELSE
            BEGIN
                COMMIT TRANSACTION;
                SET @done = 1;
            END;
        END;
        EXEC dbo.close_data_key @name = @name;
        EXEC sys.sp_releaseapplock @Resource = N'promptcrm encryption', @LockOwner = N'Session';
    END TRY
    BEGIN CATCH
        IF XACT_STATE() <> 0
            ROLLBACK TRANSACTION;
        EXEC dbo.close_data_key @name = @name;
        EXEC sys.sp_releaseapplock @Resource = N'promptcrm encryption', @LockOwner = N'Session';
        THROW;
    END CATCH;
END;
GO

GRANT SELECT ON dbo.client_sensitive TO sensitive_reader;
GRANT EXECUTE ON dbo.protect_client TO sensitive_writer;
GRANT EXECUTE ON dbo.find_client_by_tax_id TO sensitive_writer;
GRANT EXECUTE ON dbo.find_client_by_email TO sensitive_writer;
GRANT EXECUTE ON dbo.find_client_by_phone TO sensitive_writer;
ALTER ROLE sensitive_reader ADD MEMBER promptcrm_mcp_steward; -- of 10_roles.sql
GRANT EXECUTE ON dbo.find_client_by_email TO promptcrm_mcp_steward;
GO
