-- What of a client is encrypted?
SELECT
    c.tax_id_cipher AS tax_id,
    c.email_cipher AS email,
    c.phone_cipher AS phone
FROM client AS c
WHERE c.id = :client_id;
