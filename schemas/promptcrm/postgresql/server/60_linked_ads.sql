-- The linked server "ads": PromptAds, as PromptCrm sees it, by postgres_fdw: foreign tables in the schema ads.
DO $$
BEGIN
    -- The file is one transaction: several processes that apply it at once do so one after the other.
    PERFORM pg_advisory_xact_lock(hashtext('promptsales linked server ads'));
    CREATE EXTENSION IF NOT EXISTS postgres_fdw;
END;
$$;

-- To call it again links anew, and what was built on the old foreign tables goes with them. Everyone who is granted the schema ads then reads
-- PromptAds as username, who should be allowed no more than to read. The caller has to be allowed to use postgres_fdw.
CREATE OR REPLACE FUNCTION link_ads(host text, port int, dbname text, username text, password text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('promptsales linked server ads'));
    DROP SERVER IF EXISTS ads CASCADE;
    EXECUTE format(
        'CREATE SERVER ads FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L, fetch_size ''10000'')',
        host, port::text, dbname
    );
    BEGIN
        EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER ads OPTIONS (user %L, password %L)', username, password);
    EXCEPTION
        -- The error as it was, but without the statement in its context: the password is in it.
        WHEN OTHERS THEN RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;
    END;
    CREATE SCHEMA IF NOT EXISTS ads;
    IMPORT FOREIGN SCHEMA public LIMIT TO (campaign, budget, channel) FROM SERVER ads INTO ads;
    IF to_regclass('ads.campaign') IS NULL OR to_regclass('ads.budget') IS NULL OR to_regclass('ads.channel') IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_table',
            MESSAGE = format('the database %s on %s:%s has no tables of PromptAds', dbname, host, port);
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION link_ads(text, int, text, text, text) FROM public;
