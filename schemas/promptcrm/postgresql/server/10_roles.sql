-- Who reads changes, and who reads for the MCP server: groups without login, the same ones for all databases of a server.
-- Each may do what is granted here, and nothing else.
-- Safe to run twice, and by several processes at once.

DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(10); -- one at a time in this database, till the end of the file: it is one transaction
    BEGIN
        CREATE ROLE promptcrm_etl NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- somebody else has made it
    END;
    BEGIN
        CREATE ROLE promptcrm_mcp NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END;
    BEGIN
        CREATE ROLE promptcrm_mcp_steward NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END;
END
$$;

REVOKE ALL ON ALL ROUTINES IN SCHEMA public FROM public;
GRANT USAGE ON SCHEMA public TO promptcrm_etl;
GRANT EXECUTE ON FUNCTION changes_since(text, text) TO promptcrm_etl;

-- Of clients the view, which has nothing encrypted; of contacts, lines of sales and products nothing is asked.
GRANT USAGE ON SCHEMA public TO promptcrm_mcp, promptcrm_mcp_steward;
GRANT SELECT ON city, client_card, sale, opportunity, interaction TO promptcrm_mcp, promptcrm_mcp_steward;
GRANT EXECUTE ON FUNCTION distance_km(
    double precision, double precision, double precision, double precision
) TO promptcrm_mcp, promptcrm_mcp_steward;
-- Who has the private key of the certificate decrypts. By the hash of an e-mail address its client is found; the other hashes are not for this.
GRANT SELECT (id, tax_id_cipher, email_cipher, phone_cipher, email_hash) ON client TO promptcrm_mcp_steward;
GRANT SELECT (version, wrapped_key, certificate_thumbprint) ON data_key TO promptcrm_mcp_steward;
