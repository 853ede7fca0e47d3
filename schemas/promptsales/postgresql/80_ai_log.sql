-- The AI log: every call of the MCP servers, one entry each, never changed afterwards. Each entry holds the hash of the one before, so
-- whoever changes, removes, inserts or reorders entries would have to write all later ones anew; against that, and against a cut-off end,
-- the head's number and hash are written down elsewhere from time to time (docs/AI_LOG.md, which lies in git).
--
-- hash = SHA-256 of these fields in UTF-8, one after the other: 'ai_log 1', previous_hash, number, happened_at, written_by, server, method,
-- target, subject, name, client, issuer, session, arguments, outcome, rows, milliseconds, answer_sha256, error. A field that is NULL is
-- '-,'; any other one its length in bytes, ':', its text, ',' (a netstring). Hashes are in lower-case hexadecimal, happened_at is
-- 2026-01-31T23:59:59.000001Z, milliseconds has three decimals, arguments is as PostgreSQL prints the jsonb. previous_hash of entry 1 is 32
-- zero bytes. SELECT ai_log_text(ai_log) FROM ai_log shows what is hashed; harness/ai_log/verify.py computes it without the server's help.

CREATE TABLE ai_log (
    number bigint CONSTRAINT pk_ai_log PRIMARY KEY,
    happened_at timestamptz NOT NULL,
    written_by varchar(63) NOT NULL,
    server varchar(40) NOT NULL,
    method varchar(40) NOT NULL,
    target varchar(400) NOT NULL,
    subject varchar(200) NOT NULL,
    name varchar(254) NOT NULL,
    client varchar(200) NOT NULL,
    issuer varchar(400),
    session varchar(200),
    arguments jsonb NOT NULL,
    outcome varchar(10) NOT NULL,
    rows bigint,
    milliseconds numeric(12, 3) NOT NULL,
    answer_sha256 bytea,
    error varchar(2000),
    previous_hash bytea NOT NULL CONSTRAINT uq_ai_log_previous_hash UNIQUE,
    hash bytea NOT NULL,
    CONSTRAINT ck_ai_log_number CHECK (number > 0),
    CONSTRAINT ck_ai_log_arguments CHECK (jsonb_typeof(arguments) = 'object' AND octet_length(arguments::text) <= 16384),
    CONSTRAINT ck_ai_log_outcome CHECK (outcome IN ('begun', 'ok', 'error', 'refused')),
    CONSTRAINT ck_ai_log_rows CHECK (rows >= 0),
    CONSTRAINT ck_ai_log_milliseconds CHECK (milliseconds >= 0 AND milliseconds <> 'NaN'),
    CONSTRAINT ck_ai_log_hashes CHECK (
        octet_length(answer_sha256) = 32 AND octet_length(previous_hash) = 32 AND octet_length(hash) = 32
    )
);
COMMENT ON TABLE ai_log IS 'Calls of the MCP servers, as a chain of hashes';
COMMENT ON COLUMN ai_log.written_by IS 'The login that the entry came over';
COMMENT ON COLUMN ai_log.target IS 'A tool, a prompt, or the address of a resource';
COMMENT ON COLUMN ai_log.arguments IS 'What was asked with; secrets are masked before they come here';
COMMENT ON COLUMN ai_log.answer_sha256 IS 'Of the answer as it was sent; the answer itself is not kept';

CREATE TABLE ai_log_head (
    id boolean CONSTRAINT pk_ai_log_head PRIMARY KEY DEFAULT true,
    number bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT ck_ai_log_head_one CHECK (id),
    CONSTRAINT ck_ai_log_head_number CHECK (number >= 0),
    CONSTRAINT ck_ai_log_head_hash CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE ai_log_head IS 'The last entry of the AI log: one row, which is also its lock';
INSERT INTO ai_log_head (number, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- What the hash of an entry is taken of.
CREATE FUNCTION ai_log_text(p_entry ai_log) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT string_agg(
        coalesce(octet_length(convert_to(field.value, 'UTF8')) || ':' || field.value || ',', '-,'), '' ORDER BY field.place
    )
    FROM unnest(ARRAY[
        'ai_log 1',
        encode(p_entry.previous_hash, 'hex'),
        p_entry.number::text,
        to_char(p_entry.happened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        p_entry.written_by,
        p_entry.server,
        p_entry.method,
        p_entry.target,
        p_entry.subject,
        p_entry.name,
        p_entry.client,
        p_entry.issuer,
        p_entry.session,
        p_entry.arguments::text,
        p_entry.outcome,
        p_entry.rows::text,
        p_entry.milliseconds::text,
        encode(p_entry.answer_sha256, 'hex'),
        p_entry.error
    ]::text[]) WITH ORDINALITY AS field (value, place)
$$;

-- Number, time, login and hashes are set here, whoever inserts and whatever they say. The head's row is locked until the end of the
-- transaction: one after the other, and what is rolled back leaves no gap.
CREATE FUNCTION ai_log_chain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    SELECT number + 1, hash INTO STRICT NEW.number, NEW.previous_hash FROM ai_log_head FOR UPDATE;
    NEW.happened_at := clock_timestamp();
    NEW.written_by := session_user;
    NEW.hash := sha256(convert_to(ai_log_text(NEW), 'UTF8'));
    UPDATE ai_log_head SET number = NEW.number, hash = NEW.hash;
    RETURN NEW;
END
$$;

CREATE FUNCTION ai_log_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the AI log is only added to: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- ALWAYS: also where session_replication_role switches triggers off. Whoever owns the table can still do that by name; the chain shows it.
CREATE TRIGGER tr_ai_log_chain BEFORE INSERT ON ai_log
FOR EACH ROW EXECUTE FUNCTION ai_log_chain();
CREATE TRIGGER tr_ai_log_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON ai_log
FOR EACH STATEMENT EXECUTE FUNCTION ai_log_refuse();
CREATE TRIGGER tr_ai_log_head_refuse BEFORE INSERT OR DELETE OR TRUNCATE ON ai_log_head
FOR EACH STATEMENT EXECUTE FUNCTION ai_log_refuse();
CREATE TRIGGER tr_ai_log_head_refuse_update BEFORE UPDATE ON ai_log_head
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ai_log_refuse();
ALTER TABLE ai_log ENABLE ALWAYS TRIGGER tr_ai_log_chain;
ALTER TABLE ai_log ENABLE ALWAYS TRIGGER tr_ai_log_refuse;
ALTER TABLE ai_log_head ENABLE ALWAYS TRIGGER tr_ai_log_head_refuse;
ALTER TABLE ai_log_head ENABLE ALWAYS TRIGGER tr_ai_log_head_refuse_update;

-- Add an entry; gives its number. Who waits longer than five seconds for the others gets lock_not_available.
CREATE FUNCTION ai_log_append(
    p_server text, p_method text, p_target text,
    p_subject text, p_name text, p_client text, p_issuer text, p_session text,
    p_arguments jsonb, p_outcome text, p_rows bigint, p_milliseconds numeric, p_answer_sha256 bytea, p_error text
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '5s' AS $$
    INSERT INTO ai_log (
        server, method, target, subject, name, client, issuer, session,
        arguments, outcome, rows, milliseconds, answer_sha256, error
    )
    VALUES (
        p_server, p_method, p_target, p_subject, p_name, p_client, p_issuer, p_session,
        p_arguments, p_outcome, p_rows, p_milliseconds, p_answer_sha256, p_error
    )
    RETURNING number
$$;

-- Walk the chain; how many entries follow one another, and the first one that does not follow, if there is one. Without p_to the end
-- must be the head. What p_from - 1 has for its hash is believed.
CREATE FUNCTION ai_log_verify(p_from bigint DEFAULT 1, p_to bigint DEFAULT NULL)
RETURNS TABLE (entries bigint, broken_at bigint, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_entry ai_log;
    v_expected bigint := greatest(p_from, 1);
    v_previous bytea := decode(repeat('00', 32), 'hex');
    v_head ai_log_head;
BEGIN
    entries := 0;
    IF v_expected > 1 THEN
        v_previous := (SELECT hash FROM ai_log WHERE number = v_expected - 1);
        IF v_previous IS NULL THEN
            RETURN QUERY SELECT entries, v_expected - 1, format('entry %s is missing', v_expected - 1);
            RETURN;
        END IF;
    END IF;
    FOR v_entry IN SELECT * FROM ai_log WHERE number >= v_expected AND (p_to IS NULL OR number <= p_to) ORDER BY number LOOP
        broken_at := v_expected;
        IF v_entry.number <> v_expected THEN
            problem := format('entry %s is missing', v_expected);
        ELSIF v_entry.hash <> sha256(convert_to(ai_log_text(v_entry), 'UTF8')) THEN
            problem := format('entry %s was changed: what it says does not give its hash', v_expected);
        ELSIF v_entry.previous_hash <> v_previous THEN
            problem := format('entry %s does not follow entry %s: one of the two is not the one that was written', v_expected, v_expected - 1);
        END IF;
        IF problem IS NOT NULL THEN
            RETURN NEXT;
            RETURN;
        END IF;
        entries := entries + 1;
        v_expected := v_expected + 1;
        v_previous := v_entry.hash;
    END LOOP;
    broken_at := NULL;
    SELECT * INTO v_head FROM ai_log_head;
    IF v_expected <= coalesce(p_to, v_head.number) THEN
        broken_at := v_expected;
        problem := format('entry %s is missing, and all after it', v_expected);
    ELSIF p_to IS NULL AND (v_head.number, v_head.hash) IS DISTINCT FROM (v_expected - 1, v_previous) THEN
        broken_at := v_expected - 1;
        problem := format('entry %s is not what was written last', v_expected - 1);
    END IF;
    RETURN NEXT;
END
$$;

REVOKE EXECUTE ON FUNCTION
    ai_log_text(ai_log), ai_log_chain(), ai_log_refuse(), ai_log_verify(bigint, bigint),
    ai_log_append(text, text, text, text, text, text, text, text, jsonb, text, bigint, numeric, bytea, text)
FROM PUBLIC;
