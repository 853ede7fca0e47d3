-- Who reads changes, and who reads for the MCP server: groups without login, the same ones for all databases of a server.
-- Each may do what is granted here, and nothing else.
-- Safe to run twice, and by several processes at once.

DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(10); -- one at a time in this database, till the end of the file: it is one transaction
    BEGIN
        CREATE ROLE promptads_etl NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- somebody else has made it
    END;
    BEGIN
        CREATE ROLE promptads_mcp NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END;
END
$$;

REVOKE ALL ON ALL ROUTINES IN SCHEMA public FROM public;
GRANT USAGE ON SCHEMA public TO promptads_etl;
GRANT EXECUTE ON FUNCTION changes_since(text, text) TO promptads_etl;

GRANT USAGE ON SCHEMA public TO promptads_mcp;
GRANT SELECT ON channel, audience, campaign, budget, ad, metric_day TO promptads_mcp;
