-- Single sign-on: who there is, what they may do, and their sessions.
--
-- A session is a chain of tokens. Of a token only its SHA-256 is kept. refresh_session puts the next token in the place of the last
-- one; a token that comes a second time for that has been stolen (or its owner's was), and the whole chain is revoked.
-- The functions run with their owner's rights: who may call them needs no right on the tables (see server/10_roles.sql).

CREATE TABLE identity (
    id uuid CONSTRAINT pk_identity PRIMARY KEY DEFAULT gen_random_uuid(),
    email varchar(254) NOT NULL,
    display_name varchar(120) NOT NULL,
    password_hash text, -- as the application makes it; none: the identity logs in elsewhere
    failed_attempts int NOT NULL DEFAULT 0,
    locked_until timestamptz,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_identity_email CHECK (email ~ '^[^@\s]+@[^@\s]+$'),
    CONSTRAINT ck_identity_password CHECK (password_hash ~ '^(scrypt\$|\$argon2)'), -- never a password itself
    CONSTRAINT ck_identity_attempts CHECK (failed_attempts >= 0)
);
CREATE UNIQUE INDEX ux_identity_email ON identity (lower(email));

CREATE TABLE application_role (
    name varchar(20) CONSTRAINT pk_application_role PRIMARY KEY,
    database_role name NOT NULL,
    description varchar(120) NOT NULL,
    CONSTRAINT ck_application_role_database CHECK (database_role ~ '^promptsales_[a-z]+$')
);
COMMENT ON TABLE application_role IS 'What an identity may be, and the role of the database that this means';
INSERT INTO application_role (name, database_role, description) VALUES
('reader', 'promptsales_reader', 'the boards, no clients'),
('analyst', 'promptsales_analyst', 'summaries of all kinds, and what clients are worth'),
('steward', 'promptsales_analyst', 'sees the sensitive fields of clients, where an analyst sees them masked'),
('tester', 'promptsales_reader', 'runs the scenarios of the harness'),
('etl', 'promptsales_etl', 'moves data in'),
('admin', 'promptsales_admin', 'identities, sessions and the audit log');

CREATE TABLE role_of_identity (
    identity_id uuid NOT NULL CONSTRAINT fk_role_of_identity_identity REFERENCES identity (id) ON DELETE CASCADE,
    role varchar(20) NOT NULL CONSTRAINT fk_role_of_identity_role REFERENCES application_role (name),
    CONSTRAINT pk_role_of_identity PRIMARY KEY (identity_id, role)
);
CREATE INDEX ix_role_of_identity_role ON role_of_identity (role);

CREATE TABLE sso_session (
    id uuid CONSTRAINT pk_sso_session PRIMARY KEY DEFAULT gen_random_uuid(),
    chain_id uuid NOT NULL CONSTRAINT fk_sso_session_chain REFERENCES sso_session (id) ON DELETE CASCADE,
    identity_id uuid NOT NULL CONSTRAINT fk_sso_session_identity REFERENCES identity (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL CONSTRAINT uq_sso_session_token_hash UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    chain_expires_at timestamptz NOT NULL, -- however often it is refreshed
    last_seen_at timestamptz,
    refreshed_at timestamptz, -- the next token of the chain has taken its place
    revoked_at timestamptz,
    CONSTRAINT ck_sso_session_token_hash CHECK (octet_length(token_hash) = 32),
    CONSTRAINT ck_sso_session_times CHECK (created_at < expires_at AND expires_at <= chain_expires_at)
);
COMMENT ON TABLE sso_session IS 'The tokens of sessions; chain_id is the id of the first one';
CREATE INDEX ix_sso_session_chain_id ON sso_session (chain_id);
CREATE INDEX ix_sso_session_identity_id ON sso_session (identity_id);
CREATE INDEX ix_sso_session_chain_expires_at ON sso_session (chain_expires_at);
CREATE UNIQUE INDEX ux_sso_session_chain_newest ON sso_session (chain_id) WHERE refreshed_at IS NULL;

-- Logging in. The attempt is counted before the password is looked at, so that a thousand at once are not a thousand guesses: at most
-- p_attempts hashes are given out, then none for p_lock. The call must have been committed when the password is compared.
-- No row: there is no such identity, or it is disabled, locked or has no password. Which one is nobody's business.
CREATE FUNCTION begin_login(p_email text, p_attempts int DEFAULT 5, p_lock interval DEFAULT '15 minutes')
RETURNS TABLE (identity_id uuid, password_hash text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE identity SET
        failed_attempts = CASE WHEN locked_until IS NULL THEN failed_attempts + 1 ELSE 1 END,
        locked_until = CASE
            WHEN (CASE WHEN locked_until IS NULL THEN failed_attempts + 1 ELSE 1 END) >= p_attempts THEN clock_timestamp() + p_lock
        END
    WHERE lower(email) = lower(btrim(p_email))
        AND disabled_at IS NULL
        AND password_hash IS NOT NULL
        AND (locked_until IS NULL OR locked_until <= clock_timestamp())
    RETURNING id, password_hash
$$;

-- The password was right.
CREATE FUNCTION end_login(p_identity uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE identity SET failed_attempts = 0, locked_until = NULL WHERE id = p_identity
$$;

-- A new chain; gives the id of its first session. It can be refreshed until p_chain_ttl is over.
CREATE FUNCTION open_session(
    p_identity uuid, p_token_hash bytea, p_ttl interval, p_chain_ttl interval DEFAULT '30 days'
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_id uuid := gen_random_uuid();
BEGIN
    PERFORM FROM identity WHERE id = p_identity AND disabled_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such identity, or it is disabled' USING ERRCODE = 'invalid_authorization_specification';
    END IF;
    INSERT INTO sso_session (id, chain_id, identity_id, token_hash, expires_at, chain_expires_at)
    VALUES (v_id, v_id, p_identity, p_token_hash, now() + least(p_ttl, p_chain_ttl), now() + p_chain_ttl);
    RETURN v_id;
END
$$;

-- Whose token this is; NULL if it is unknown, expired, refreshed or revoked, or its identity disabled. Writes nothing: it can be asked
-- in a transaction that only reads.
CREATE FUNCTION session_identity(p_token_hash bytea) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT identity.id
    FROM sso_session
    JOIN identity ON identity.id = sso_session.identity_id
    WHERE sso_session.token_hash = p_token_hash
        AND sso_session.expires_at > clock_timestamp()
        AND sso_session.refreshed_at IS NULL
        AND sso_session.revoked_at IS NULL
        AND identity.disabled_at IS NULL
$$;

-- What the identity of a session may be. p_session is the id of any session of the chain, so what carries an id (a JWT) stays good over
-- a refresh; no row if the chain has ended or the identity is disabled.
CREATE FUNCTION roles_of(p_session uuid) RETURNS TABLE (role varchar, database_role name)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT application_role.name, application_role.database_role
    FROM sso_session AS asked
    JOIN sso_session AS newest ON newest.chain_id = asked.chain_id AND newest.refreshed_at IS NULL
    JOIN identity ON identity.id = newest.identity_id
    JOIN role_of_identity ON role_of_identity.identity_id = identity.id
    JOIN application_role ON application_role.name = role_of_identity.role
    WHERE asked.id = p_session
        AND newest.expires_at > clock_timestamp()
        AND newest.revoked_at IS NULL
        AND identity.disabled_at IS NULL
    ORDER BY application_role.name
$$;

-- The session was used just now.
CREATE FUNCTION touch_session(p_token_hash bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE sso_session SET last_seen_at = clock_timestamp() WHERE token_hash = p_token_hash
$$;

-- The next token of a chain in the place of the last one. No row: refused. A token that has been refreshed before ends its chain, and
-- because that must stay it is no error, which would roll it back.
CREATE FUNCTION refresh_session(p_token_hash bytea, p_new_token_hash bytea, p_ttl interval)
RETURNS TABLE (session_id uuid, identity_id uuid, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_old sso_session;
BEGIN
    -- The first row of a chain is its lock: who refreshes and who revokes come one after the other.
    PERFORM FROM sso_session
    WHERE id = (SELECT chain_id FROM sso_session WHERE token_hash = p_token_hash) FOR UPDATE;
    SELECT * INTO v_old FROM sso_session WHERE token_hash = p_token_hash;
    IF v_old.refreshed_at IS NOT NULL THEN
        UPDATE sso_session SET revoked_at = clock_timestamp() WHERE chain_id = v_old.chain_id AND revoked_at IS NULL;
        RETURN;
    END IF;
    IF session_identity(p_token_hash) IS NULL OR v_old.chain_expires_at <= now() THEN
        RETURN;
    END IF;
    UPDATE sso_session SET refreshed_at = clock_timestamp() WHERE id = v_old.id;
    RETURN QUERY
    INSERT INTO sso_session (chain_id, identity_id, token_hash, expires_at, chain_expires_at)
    VALUES (
        v_old.chain_id, v_old.identity_id, p_new_token_hash, least(now() + p_ttl, v_old.chain_expires_at), v_old.chain_expires_at
    )
    RETURNING id, identity_id, expires_at;
END
$$;

-- End the chain that a token belongs to; whether there was something to end.
CREATE FUNCTION revoke_session(p_token_hash bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_chain uuid := (SELECT chain_id FROM sso_session WHERE token_hash = p_token_hash);
BEGIN
    PERFORM FROM sso_session WHERE id = v_chain FOR UPDATE;
    UPDATE sso_session SET revoked_at = clock_timestamp() WHERE chain_id = v_chain AND revoked_at IS NULL;
    RETURN FOUND;
END
$$;

-- End all chains of an identity; how many there were to end.
CREATE FUNCTION revoke_all(p_identity uuid) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_chains int;
BEGIN
    PERFORM FROM sso_session WHERE identity_id = p_identity AND id = chain_id ORDER BY id FOR UPDATE;
    WITH revoked AS (
        UPDATE sso_session SET revoked_at = clock_timestamp() WHERE identity_id = p_identity AND revoked_at IS NULL
        RETURNING chain_id
    )
    SELECT count(DISTINCT chain_id) INTO v_chains FROM revoked;
    RETURN v_chains;
END
$$;

-- Delete the chains that ended longer ago than p_older_than; how many tokens went. A chain that lives keeps its old tokens: they are how a
-- stolen one is known.
CREATE FUNCTION purge_sessions(p_older_than interval) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_tokens int;
BEGIN
    WITH over AS (
        SELECT chain_id FROM sso_session
        WHERE refreshed_at IS NULL AND least(revoked_at, expires_at) < now() - p_older_than
    ), gone AS (
        DELETE FROM sso_session USING over WHERE sso_session.chain_id = over.chain_id RETURNING 1
    )
    SELECT count(*) INTO v_tokens FROM gone;
    RETURN v_tokens;
END
$$;

REVOKE EXECUTE ON FUNCTION
    begin_login(text, int, interval), end_login(uuid), open_session(uuid, bytea, interval, interval), session_identity(bytea),
    roles_of(uuid), touch_session(bytea), refresh_session(bytea, bytea, interval), revoke_session(bytea), revoke_all(uuid),
    purge_sessions(interval)
FROM PUBLIC;
