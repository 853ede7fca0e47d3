-- Who reads changes, and may do nothing else here: a group without login, the same one for all databases of a server.
-- Safe to run twice, and by several processes at once.

DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(10); -- one at a time in this database, till the end of the file: it is one transaction
    BEGIN
        CREATE ROLE promptcrm_etl NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- somebody else has made it
    END;
END
$$;

REVOKE ALL ON ALL ROUTINES IN SCHEMA public FROM public;
GRANT USAGE ON SCHEMA public TO promptcrm_etl;
GRANT EXECUTE ON FUNCTION changes_since(text, text) TO promptcrm_etl;
