-- The linked server "crm": PromptCrm, as PromptAds sees it, by postgres_fdw: foreign tables in the schema crm, nothing sensitive in them.
DO $$
BEGIN
    -- The file is one transaction: several processes that apply it at once do so one after the other.
    PERFORM pg_advisory_xact_lock(hashtext('promptsales linked server crm'));
    CREATE EXTENSION IF NOT EXISTS postgres_fdw;
END;
$$;

-- To call it again links anew, and what was built on the old foreign tables goes with them. Everyone who is granted the schema crm then reads
-- PromptCrm as username, who should be allowed no more than to read. The caller has to be allowed to use postgres_fdw.
CREATE OR REPLACE FUNCTION link_crm(host text, port int, dbname text, username text, password text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('promptsales linked server crm'));
    DROP SERVER IF EXISTS crm CASCADE;
    EXECUTE format(
        'CREATE SERVER crm FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L, fetch_size ''10000'')',
        host, port::text, dbname
    );
    BEGIN
        EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER crm OPTIONS (user %L, password %L)', username, password);
    EXCEPTION
        -- The error as it was, but without the statement in its context: the password is in it.
        WHEN OTHERS THEN RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;
    END;
    CREATE SCHEMA IF NOT EXISTS crm;
    -- Named one by one, so that the encrypted columns stay where they are.
    CREATE FOREIGN TABLE crm.client (
        id int NOT NULL,
        code varchar(16) NOT NULL,
        name varchar(120) NOT NULL,
        kind varchar(10) NOT NULL,
        city_id int NOT NULL,
        campaign_id int,
        created_on date NOT NULL
    ) SERVER crm OPTIONS (schema_name 'public');
    CREATE FOREIGN TABLE crm.sale (
        id bigint NOT NULL,
        client_id int NOT NULL,
        campaign_id int,
        sold_on date NOT NULL,
        status varchar(10) NOT NULL,
        total decimal(12, 2) NOT NULL
    ) SERVER crm OPTIONS (schema_name 'public');
    PERFORM FROM crm.client LIMIT 1; -- is it really there?
    PERFORM FROM crm.sale LIMIT 1;
END;
$$;

REVOKE ALL ON FUNCTION link_crm(text, int, text, text, text) FROM public;
