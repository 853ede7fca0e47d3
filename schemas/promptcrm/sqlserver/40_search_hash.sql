-- The keyed hash by which an encrypted column is searched. Pure functions: the secret is given, server/50_encryption.sql keeps it.
-- noqa: disable=LT02
-- (sqlfluff would have BEGIN further in than its IF or WHILE.)

-- HMAC with SHA-256 (RFC 2104), for keys of up to 64 bytes, a block of the hash. NULL if a parameter is.
CREATE FUNCTION dbo.hmac_sha256(@secret varbinary(64), @message varbinary(4000))
RETURNS varbinary(32)
AS
BEGIN
    DECLARE @inner varbinary(64) = 0x;
    DECLARE @outer varbinary(64) = 0x;
    DECLARE @place int = 1;
    DECLARE @byte int;
    WHILE @place <= 64
    BEGIN
        -- The key is filled up with zeros.
        SET @byte = CASE WHEN @place <= DATALENGTH(@secret) THEN CAST(SUBSTRING(@secret, @place, 1) AS int) ELSE 0 END;
        SET @inner = @inner + CAST(@byte ^ 54 AS binary(1)); -- ipad: 0x36
        SET @outer = @outer + CAST(@byte ^ 92 AS binary(1)); -- opad: 0x5C
        SET @place = @place + 1;
    END;
    IF @secret IS NULL
        RETURN NULL;
    RETURN HASHBYTES('SHA2_256', @outer + HASHBYTES('SHA2_256', @inner + @message));
END;
GO

-- What of a value is hashed, so that a search finds it however it is written: an e-mail address trimmed and in lower case, of a phone
-- number the digits, of a tax id letters (ASCII) and digits in upper case. NULL if nothing is left.
CREATE FUNCTION dbo.normalised(@column varchar(10), @value nvarchar(160))
RETURNS nvarchar(160)
AS
BEGIN
    IF @column = 'email'
        RETURN NULLIF(LOWER(LTRIM(RTRIM(@value))), N'');
    DECLARE @kept nvarchar(160) = N'';
    DECLARE @place int = 1;
    DECLARE @sign nchar(1);
    SET @value = UPPER(@value);
    WHILE @place <= LEN(@value)
    BEGIN
        SET @sign = SUBSTRING(@value, @place, 1);
        IF UNICODE(@sign) BETWEEN 48 AND 57 OR (@column = 'tax_id' AND UNICODE(@sign) BETWEEN 65 AND 90)
            SET @kept = @kept + @sign;
        SET @place = @place + 1;
    END;
    RETURN NULLIF(@kept, N'');
END;
GO

-- The column is part of what is hashed, so that equal values of two columns have different hashes.
CREATE FUNCTION dbo.search_hash(@secret varbinary(64), @column varchar(10), @value nvarchar(160))
RETURNS varbinary(32)
AS
BEGIN
    RETURN dbo.hmac_sha256(@secret, CAST(@column + N':' + dbo.normalised(@column, @value) AS varbinary(400)));
END;
GO
