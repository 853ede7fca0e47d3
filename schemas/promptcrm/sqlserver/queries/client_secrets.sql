-- What are the sensitive values of a client? (decrypted by the server)
SELECT
    v.tax_id,
    v.email,
    v.phone
FROM dbo.client_sensitive AS v
WHERE v.id = @client_id;
