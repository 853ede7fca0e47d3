-- Clients for those who may not see what is encrypted, nor the hashes of it: only whether it is there.

CREATE VIEW client_card AS
SELECT
    id,
    code,
    name,
    kind,
    city_id,
    latitude,
    longitude,
    campaign_id,
    referred_by,
    credit,
    created_on,
    CASE WHEN tax_id_cipher IS NULL THEN 0 ELSE 1 END AS has_tax_id,
    CASE WHEN email_cipher IS NULL THEN 0 ELSE 1 END AS has_email,
    CASE WHEN phone_cipher IS NULL THEN 0 ELSE 1 END AS has_phone
FROM client;
