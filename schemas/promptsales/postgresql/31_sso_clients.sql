-- What an issuer of tokens needs beside identities and sessions (30_sso.sql): the programs that people log in with, authorization codes,
-- and what a session was granted to.
--
-- The functions run with their owner's rights: the issuer has no right on any table (see server/10_roles.sql). All that strangers can
-- make (clients) is bounded in number and size.

CREATE TABLE sso_client (
    id varchar(64) CONSTRAINT pk_sso_client PRIMARY KEY,
    name varchar(120) NOT NULL,
    redirect_uris text[] NOT NULL,
    scope varchar(200) NOT NULL,
    auth_method varchar(20) NOT NULL,
    secret_hash bytea, -- SHA-256; none: a program on somebody's own machine, which could keep no secret
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz, -- when somebody logged in with it
    CONSTRAINT ck_sso_client_redirect_uris CHECK (
        cardinality(redirect_uris) BETWEEN 1 AND 10 AND octet_length(array_to_string(redirect_uris, ' ')) <= 4000
    ),
    CONSTRAINT ck_sso_client_secret CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT ck_sso_client_auth CHECK (
        auth_method IN ('none', 'client_secret_post', 'client_secret_basic') AND (auth_method = 'none') = (secret_hash IS NULL)
    )
);
COMMENT ON TABLE sso_client IS 'Programs that people log in with, by RFC 7591';

CREATE TABLE sso_code (
    code_hash bytea CONSTRAINT pk_sso_code PRIMARY KEY,
    identity_id uuid NOT NULL CONSTRAINT fk_sso_code_identity REFERENCES identity (id) ON DELETE CASCADE,
    client_id varchar(64) NOT NULL CONSTRAINT fk_sso_code_client REFERENCES sso_client (id) ON DELETE CASCADE,
    redirect_uri varchar(2000) NOT NULL,
    redirect_given boolean NOT NULL, -- whether the request named it
    challenge varchar(43) NOT NULL, -- of PKCE, S256
    scope varchar(200) NOT NULL,
    resource varchar(512),
    expires_at timestamptz NOT NULL,
    session_id uuid CONSTRAINT fk_sso_code_session REFERENCES sso_session (id) ON DELETE CASCADE, -- what it was exchanged for
    CONSTRAINT ck_sso_code_hash CHECK (octet_length(code_hash) = 32)
);
COMMENT ON TABLE sso_code IS 'Authorization codes; one that comes a second time ends the session that the first time opened';
CREATE INDEX ix_sso_code_expires_at ON sso_code (expires_at);
CREATE INDEX ix_sso_code_identity_id ON sso_code (identity_id);
CREATE INDEX ix_sso_code_client_id ON sso_code (client_id);
CREATE INDEX ix_sso_code_session_id ON sso_code (session_id);

CREATE TABLE sso_grant (
    chain_id uuid CONSTRAINT pk_sso_grant PRIMARY KEY CONSTRAINT fk_sso_grant_chain REFERENCES sso_session (id) ON DELETE CASCADE,
    client_id varchar(64) NOT NULL CONSTRAINT fk_sso_grant_client REFERENCES sso_client (id) ON DELETE CASCADE,
    scope varchar(200) NOT NULL,
    resource varchar(512)
);
COMMENT ON TABLE sso_grant IS 'Which program a session belongs to, and what it may ask';
CREATE INDEX ix_sso_grant_client_id ON sso_grant (client_id);

-- Whether there was room for it: at most p_most clients. If it is full, those go that are an hour old and that nobody is logged in with.
CREATE FUNCTION register_client(
    p_id text, p_name text, p_redirect_uris text[], p_scope text, p_auth_method text, p_secret_hash bytea, p_most int DEFAULT 1000
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(31); -- so that what is counted stays so
    IF (SELECT count(*) FROM sso_client) >= p_most THEN
        DELETE FROM sso_client
        WHERE coalesce(last_used_at, created_at) < now() - interval '1 hour'
            AND NOT EXISTS (
                SELECT FROM sso_grant
                JOIN sso_session ON sso_session.chain_id = sso_grant.chain_id AND sso_session.refreshed_at IS NULL
                WHERE sso_grant.client_id = sso_client.id AND sso_session.revoked_at IS NULL AND sso_session.expires_at > now()
            );
        IF (SELECT count(*) FROM sso_client) >= p_most THEN
            RETURN false;
        END IF;
    END IF;
    INSERT INTO sso_client (id, name, redirect_uris, scope, auth_method, secret_hash)
    VALUES (p_id, p_name, p_redirect_uris, p_scope, p_auth_method, p_secret_hash);
    RETURN true;
END
$$;

-- A client, or no row.
CREATE FUNCTION client_of(p_id text)
RETURNS TABLE (name varchar, redirect_uris text[], scope varchar, auth_method varchar, secret_hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT name, redirect_uris, scope, auth_method, secret_hash FROM sso_client WHERE id = p_id
$$;

-- Keep a code for somebody who has just logged in. Codes that expired a day ago go.
CREATE FUNCTION keep_code(
    p_code_hash bytea, p_identity uuid, p_client text, p_redirect_uri text, p_redirect_given boolean, p_challenge text, p_scope text,
    p_resource text, p_ttl interval
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    DELETE FROM sso_code WHERE expires_at < now() - interval '1 day';
    INSERT INTO sso_code (
        code_hash, identity_id, client_id, redirect_uri, redirect_given, challenge, scope, resource, expires_at
    )
    VALUES (p_code_hash, p_identity, p_client, p_redirect_uri, p_redirect_given, p_challenge, p_scope, p_resource, now() + p_ttl)
$$;

-- What a code stands for; no row if there is no such code. One that was used before ends the session that was opened for it.
CREATE FUNCTION code_of(p_code_hash bytea)
RETURNS TABLE (
    client_id varchar, redirect_uri varchar, redirect_given boolean, challenge varchar, scope varchar, resource varchar,
    expires_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_code sso_code;
BEGIN
    SELECT * INTO v_code FROM sso_code WHERE code_hash = p_code_hash FOR UPDATE;
    IF v_code.session_id IS NOT NULL THEN
        PERFORM end_session(v_code.session_id);
        RETURN;
    END IF;
    RETURN QUERY
    SELECT client_id, redirect_uri, redirect_given, challenge, scope, resource, expires_at
    FROM sso_code WHERE code_hash = p_code_hash;
END
$$;

-- Exchange a code for a session, once. No row: refused; what ends a session is no error, which would roll it back.
CREATE FUNCTION use_code(p_code_hash bytea, p_token_hash bytea, p_ttl interval, p_chain_ttl interval)
RETURNS TABLE (session_id uuid, identity_id uuid, email varchar, display_name varchar)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_code sso_code;
    v_session uuid;
BEGIN
    SELECT * INTO v_code FROM sso_code WHERE code_hash = p_code_hash FOR UPDATE;
    IF v_code.session_id IS NOT NULL THEN
        PERFORM end_session(v_code.session_id);
        RETURN;
    END IF;
    IF v_code.code_hash IS NULL OR v_code.expires_at <= clock_timestamp() THEN
        RETURN;
    END IF;
    PERFORM FROM identity WHERE id = v_code.identity_id AND disabled_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_session := open_session(v_code.identity_id, p_token_hash, p_ttl, p_chain_ttl);
    INSERT INTO sso_grant (chain_id, client_id, scope, resource)
    VALUES (v_session, v_code.client_id, v_code.scope, v_code.resource);
    UPDATE sso_code SET session_id = v_session WHERE code_hash = p_code_hash;
    UPDATE sso_client SET last_used_at = now() WHERE id = v_code.client_id;
    RETURN QUERY
    SELECT v_session, id, email, display_name FROM identity WHERE id = v_code.identity_id;
END
$$;

-- Which program the chain of a token belongs to, whether the token is good or not. No row: it was not opened by a code.
CREATE FUNCTION grant_of(p_token_hash bytea) RETURNS TABLE (client_id varchar, scope varchar, resource varchar)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT sso_grant.client_id, sso_grant.scope, sso_grant.resource
    FROM sso_session JOIN sso_grant ON sso_grant.chain_id = sso_session.chain_id
    WHERE sso_session.token_hash = p_token_hash
$$;

-- Whose session this is and what they may do, at this moment. p_session is the id of any session of the chain. No row: the chain has
-- ended, or the identity is disabled; somebody without any role has a row.
CREATE FUNCTION session_caller(p_session uuid)
RETURNS TABLE (identity_id uuid, email varchar, display_name varchar, roles varchar[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT
        identity.id, identity.email, identity.display_name,
        ARRAY(SELECT role FROM role_of_identity WHERE role_of_identity.identity_id = identity.id ORDER BY role)
    FROM sso_session AS asked
    JOIN sso_session AS newest ON newest.chain_id = asked.chain_id AND newest.refreshed_at IS NULL
    JOIN identity ON identity.id = newest.identity_id
    WHERE asked.id = p_session
        AND newest.expires_at > clock_timestamp()
        AND newest.revoked_at IS NULL
        AND identity.disabled_at IS NULL
$$;

-- End the chain of a session, by the id of any session of it; whether there was something to end.
CREATE FUNCTION end_session(p_session uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_chain uuid := (SELECT chain_id FROM sso_session WHERE id = p_session);
BEGIN
    PERFORM FROM sso_session WHERE id = v_chain FOR UPDATE;
    UPDATE sso_session SET revoked_at = clock_timestamp() WHERE chain_id = v_chain AND revoked_at IS NULL;
    RETURN FOUND;
END
$$;

REVOKE EXECUTE ON FUNCTION
    register_client(text, text, text[], text, text, bytea, int), client_of(text),
    keep_code(bytea, uuid, text, text, boolean, text, text, text, interval), code_of(bytea),
    use_code(bytea, bytea, interval, interval), grant_of(bytea), session_caller(uuid), end_session(uuid)
FROM PUBLIC;
