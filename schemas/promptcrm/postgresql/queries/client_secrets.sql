-- What of a client is encrypted, and under which keys? A row for each key, the newest last.
SELECT
    c.tax_id_cipher AS tax_id,
    c.email_cipher AS email,
    c.phone_cipher AS phone,
    k.version,
    k.wrapped_key,
    k.certificate_thumbprint
FROM client AS c
CROSS JOIN data_key AS k
WHERE c.id = :client_id
ORDER BY k.version;
