-- A round over the sources: when it is due, how it begins, where each source's window begins, how it fails.
--
-- Errors: PE001 another round is under way; PE002 this round was overtaken; PE003 nothing was staged; PE005 cannot be forgotten.

CREATE SEQUENCE etl_round;
COMMENT ON SEQUENCE etl_round IS 'Numbers of rounds; none is used twice, whatever is deleted from the log';

-- Whether no round was begun yet in this slot of a fixed grid: it does not drift, and one that was missed is due at once.
CREATE FUNCTION etl_due(p_every interval DEFAULT '11 minutes') RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT NOT EXISTS (
        SELECT FROM etl_run
        WHERE source = 'promptcontent' -- every round has one of each
            AND round IS NOT NULL
            AND started_at >= date_bin(p_every, clock_timestamp(), timestamptz '2000-01-01 00:00:00+00')
    )
$$;

-- Empty a table of staging of everything but a round. To truncate is quicker, but one does not wait for who still uses it.
CREATE FUNCTION staging.sweep(p_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF pg_relation_size(p_table) = 0 THEN
        RETURN;
    END IF;
    BEGIN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', p_table);
        EXECUTE format('TRUNCATE %s', p_table);
    EXCEPTION WHEN lock_not_available THEN
        EXECUTE format('DELETE FROM %s', p_table);
    END;
END
$$;

CREATE FUNCTION etl_begin() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_run etl_run;
    v_free boolean;
    v_round bigint;
    v_table regclass;
BEGIN
    PERFORM pg_advisory_xact_lock('etl_run'::regclass::oid::bigint); -- two that begin at once
    FOR v_run IN SELECT * FROM etl_run WHERE status = 'running' ORDER BY id LOOP
        PERFORM FROM etl_run WHERE id = v_run.id AND status = 'running' FOR UPDATE SKIP LOCKED;
        v_free := FOUND;
        SELECT * INTO v_run FROM etl_run WHERE id = v_run.id;
        CONTINUE WHEN v_run.status <> 'running'; -- it has just ended
        IF NOT v_free -- a merge has it
            OR greatest(v_run.started_at, v_run.touched_at) > clock_timestamp() - interval '2 seconds'
            OR EXISTS (
                SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND application_name = 'promptsales-etl ' || v_run.round
            )
        THEN
            RAISE EXCEPTION 'round % is under way since %: two do not overlap',
                v_run.round, to_char(v_run.started_at, 'YYYY-MM-DD HH24:MI:SS OF') USING ERRCODE = 'PE001';
        END IF;
        UPDATE etl_run
        SET status = 'failed', message = 'it ended without a word', finished_at = greatest(clock_timestamp(), started_at)
        WHERE id = v_run.id;
    END LOOP;
    FOR v_table IN
        SELECT oid FROM pg_class WHERE relnamespace = 'staging'::regnamespace AND relkind = 'r' ORDER BY relname
    LOOP
        PERFORM staging.sweep(v_table); -- nobody is alive whose rows these could be
    END LOOP;
    v_round := nextval('etl_round');
    INSERT INTO etl_run (round, source, started_at, touched_at)
    SELECT v_round, source, clock_timestamp(), clock_timestamp()
    FROM unnest(ARRAY['promptcontent', 'promptads', 'promptcrm', 'cache']) AS source;
    RETURN v_round;
END
$$;

CREATE FUNCTION staging.overtaken(p_round bigint, p_source text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_run etl_run;
BEGIN
    SELECT * INTO v_run FROM etl_run WHERE round = p_round AND source = p_source;
    RAISE EXCEPTION 'round % of % does not run any more: it %', p_round, p_source,
        CASE
            WHEN v_run.id IS NULL THEN 'was never begun'
            WHEN v_run.status = 'failed' THEN 'failed (' || v_run.message || ')'
            ELSE 'has ' || v_run.status
        END
        USING ERRCODE = 'PE002';
END
$$;

-- Where the window of a source begins. whole: all of it is to be read, as nothing is remembered. PromptContent is read whole once a day, too:
-- it is small, and drafts that its TTL index removes leave no entry in the outbox.
CREATE FUNCTION etl_window(p_round bigint, p_source text) RETURNS TABLE (whole boolean, origin text, upper_bound text)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_mark etl_watermark;
BEGIN
    SELECT * INTO v_mark FROM etl_watermark WHERE source = p_source;
    UPDATE etl_run SET window_from = v_mark.upper_bound, touched_at = clock_timestamp()
    WHERE round = p_round AND source = p_source AND status = 'running';
    IF NOT FOUND THEN
        PERFORM staging.overtaken(p_round, p_source);
    END IF;
    RETURN QUERY SELECT
        v_mark.source IS NULL OR (p_source = 'promptcontent' AND v_mark.compared_at < now() - interval '1 day'),
        v_mark.origin,
        v_mark.upper_bound;
END
$$;

-- End a running run as failed; whether it was running.
CREATE FUNCTION etl_fail(p_round bigint, p_source text, p_message text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE etl_run SET
        status = 'failed',
        message = coalesce(nullif(btrim(p_message), ''), 'it failed and did not say why'),
        finished_at = greatest(clock_timestamp(), started_at)
    WHERE round = p_round AND source = p_source AND status = 'running';
    RETURN FOUND;
END
$$;

-- The next run of a source reads all of it. Whether something was remembered.
CREATE FUNCTION etl_forget(p_source text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF p_source = 'cache' THEN
        RAISE EXCEPTION 'the cache cannot be read anew: what was added from its stream would be added twice'
            USING ERRCODE = 'PE005';
    END IF;
    DELETE FROM etl_watermark WHERE source = p_source;
    RETURN FOUND;
END
$$;

REVOKE EXECUTE ON FUNCTION
    etl_due(interval), etl_begin(), etl_window(bigint, text), etl_fail(bigint, text, text), etl_forget(text),
    staging.sweep(regclass), staging.overtaken(bigint, text)
FROM PUBLIC;
