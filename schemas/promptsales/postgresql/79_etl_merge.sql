-- One source of a round into PromptSales: rows, sums, quarantine, watermark and log in one transaction, which is the caller's.

-- The server's statistics of a table are made anew if many of its rows are new. With its owner's rights: ANALYZE is nobody else's.
CREATE FUNCTION staging.analyze(p_table regclass, p_changed bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_class.oid = p_table AND relkind = 'r' AND nspname IN ('staging', 'fact', 'public')
            AND p_changed > 5000 + 0.1 * reltuples
    ) THEN
        EXECUTE format('ANALYZE %s', p_table);
    END IF;
END
$$;

-- Tables that were just filled have no statistics at all; the planner takes them for small then, and it is right if they are.
CREATE FUNCTION staging.analyze_staged(p_tables regclass[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT staging.analyze(one, 1000000000000) FROM unnest(p_tables) AS one WHERE pg_relation_size(one) > 65536
$$;

CREATE FUNCTION staging.tables_of(p_source text) RETURNS regclass[]
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE p_source
        WHEN 'promptcontent' THEN '{staging.content,staging.content_read}'
        WHEN 'promptads' THEN '{staging.campaign,staging.ad,staging.metric_day}'
        WHEN 'promptcrm' THEN '{staging.client,staging.sale,staging.interaction}'
        ELSE '{staging.activity,staging.activity_read}'
    END::regclass[]
$$;

CREATE FUNCTION staging.targets_of(p_source text) RETURNS regclass[]
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE p_source
        WHEN 'promptads' THEN '{campaign,fact.ad,fact.metric_day,campaign_month,content_month}'
        WHEN 'promptcrm' THEN '{client,fact.sale,fact.interaction,client_month}'
        ELSE '{content,content_month}'
    END::regclass[]
$$;

-- What was staged of a source goes, and what the merge noted down. Rows of the same round that other sources have staged stay.
CREATE FUNCTION staging.clear(p_round bigint, p_source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_table regclass;
BEGIN
    FOR v_table IN
        SELECT unnest(
            staging.tables_of(p_source) || '{staging.moved,staging.metric_touched}'::regclass[]
            || '{staging.campaign_part,staging.client_part,staging.content_part}'::regclass[]
        )
    LOOP
        PERFORM staging.sweep(v_table);
    END LOOP;
    DELETE FROM staging.source_window WHERE round = p_round AND source = p_source;
    DELETE FROM staging.ad WHERE round = -p_round;
    DELETE FROM staging.metric_day WHERE round = -p_round;
    DELETE FROM staging.sale WHERE round = -p_round;
    DELETE FROM staging.interaction WHERE round = -p_round;
    DELETE FROM staging.activity_read WHERE round = -p_round;
END
$$;

-- What the window of the cache says of entries that are not there any more, NULL if nothing. Bounds are '<last id> <entries added>'.
CREATE FUNCTION staging.lost_activity(p_before text, p_upto text, p_read bigint) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE WHEN lost > 0 THEN lost || CASE lost WHEN 1 THEN ' entry' ELSE ' entries' END
        || ' of the stream had been trimmed before being read' END
    FROM (SELECT split_part(p_upto, ' ', 2)::bigint - coalesce(split_part(p_before, ' ', 2)::bigint, 0) - p_read AS lost)
$$;

-- Merge what is staged of a source. A source that began anew, or an outbox with a gap, is no error of the database's: the run is ended as
-- failed, nothing of it is merged, the watermark is forgotten, and that is committed; status and message say it.
CREATE FUNCTION etl_merge(p_round bigint, p_source text) RETURNS TABLE (
    rows_read bigint,
    rows_inserted bigint,
    rows_updated bigint,
    rows_deleted bigint,
    rows_quarantined bigint,
    message text,
    status text
)
LANGUAGE plpgsql
-- Most pages that are looked up one by one are in memory, and to look up a row takes as long as to walk over some ten: with the server's
-- own costs the planner would walk over a whole table for the hundredth part of it. Nothing here is worth being compiled.
SET search_path = pg_catalog, public, pg_temp
SET seq_page_cost = 0.25 SET random_page_cost = 0.25 SET cpu_tuple_cost = 0.05 SET jit = off SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_run etl_run;
    v_mark etl_watermark;
    v_window staging.source_window;
    v_upper text;
    v_wrong text;
    v_read bigint := 0;
    v_own staging.tally;
    v_others staging.tally;
    v_said text[] := '{}';
    v_lost text;
    v_table regclass;
    v_changed bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'etl_merge() needs READ COMMITTED: it waits for other merges and must see them'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    SELECT * INTO v_run FROM etl_run WHERE round = p_round AND source = p_source AND status = 'running' FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM staging.overtaken(p_round, p_source);
    END IF;
    PERFORM pg_advisory_xact_lock('etl_watermark'::regclass::oid::bigint); -- one merge after the other
    SELECT * INTO v_mark FROM etl_watermark WHERE source = p_source;
    IF v_mark.upper_bound IS DISTINCT FROM v_run.window_from THEN
        RAISE EXCEPTION 'round % of % began at another watermark than there is now: its window is not the next one',
            p_round, p_source USING ERRCODE = 'PE002';
    END IF;
    SELECT * INTO v_window FROM staging.source_window WHERE round = p_round AND source = p_source LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing was staged of % in round %: there is no row of its window', p_source, p_round
            USING ERRCODE = 'PE003';
    END IF;
    v_upper := v_window.upper_bound;
    PERFORM staging.analyze_staged(staging.tables_of(p_source));
    SET CONSTRAINTS fk_campaign_month_campaign, fk_client_month_client, fk_content_month_content DEFERRED;

    IF p_source = 'promptcontent' THEN
        SELECT count(*) INTO v_read FROM staging.content WHERE round = p_round;
        IF v_window.whole THEN
            PERFORM staging.read_contents(p_round);
        ELSIF v_window.origin IS DISTINCT FROM v_mark.origin OR v_upper::bigint < v_mark.upper_bound::bigint THEN
            v_wrong := 'PromptContent began anew';
        ELSE
            SELECT coalesce(o_position::text, v_mark.upper_bound), o_wrong INTO v_upper, v_wrong
            FROM staging.read_outbox(p_round, v_mark.upper_bound::bigint);
        END IF;
        IF v_wrong IS NOT NULL THEN
            v_wrong := v_wrong || ': the next run reads all of it';
            DELETE FROM etl_watermark WHERE source = p_source;
            UPDATE etl_run SET
                status = 'failed', finished_at = clock_timestamp(), message = v_wrong, rows_read = v_read
            WHERE id = v_run.id;
            PERFORM staging.clear(p_round, p_source);
            RETURN QUERY SELECT v_read, 0::bigint, 0::bigint, 0::bigint, 0::bigint, v_wrong, 'failed';
            RETURN;
        END IF;
        v_own := staging.merge_content(p_round, v_window.whole, v_run.id);
    ELSIF p_source = 'promptads' THEN
        SELECT (SELECT count(*) FROM staging.campaign WHERE round = p_round)
            + (SELECT count(*) FROM staging.ad WHERE round = p_round)
            + (SELECT count(*) FROM staging.metric_day WHERE round = p_round) INTO v_read;
        v_own := staging.merge_campaign(p_round, v_window.whole, v_run.id);
        v_own := staging.plus(v_own, staging.merge_ads(p_round, true, v_window.whole, v_run.id));
        IF v_window.whole THEN
            PERFORM staging.compare_promptads();
        END IF;
    ELSIF p_source = 'promptcrm' THEN
        SELECT (SELECT count(*) FROM staging.client WHERE round = p_round)
            + (SELECT count(*) FROM staging.sale WHERE round = p_round)
            + (SELECT count(*) FROM staging.interaction WHERE round = p_round) INTO v_read;
        v_own := staging.merge_client(p_round, v_window.whole, v_run.id);
        v_own := staging.plus(v_own, staging.merge_sales(p_round, true, v_window.whole, v_run.id));
        v_own := staging.plus(v_own, staging.merge_interactions(p_round, true, v_window.whole, v_run.id));
        IF v_window.whole THEN
            PERFORM staging.compare_promptcrm();
        END IF;
    ELSE
        IF staging.stream_position(split_part(v_upper, ' ', 1)) < staging.stream_position(split_part(v_mark.upper_bound, ' ', 1))
            OR split_part(v_upper, ' ', 2)::bigint < split_part(v_mark.upper_bound, ' ', 2)::bigint
            OR v_window.origin IS DISTINCT FROM v_mark.origin AND v_mark.source IS NOT NULL
        THEN
            v_said := v_said || 'the stream began anew'::text;
            v_mark.upper_bound := '0-0 0';
        END IF;
        SELECT count(*) INTO v_read FROM staging.activity WHERE round = p_round;
        v_lost := staging.lost_activity(
            v_mark.upper_bound,
            v_upper,
            staging.read_activity(p_round, split_part(v_mark.upper_bound, ' ', 1), split_part(v_upper, ' ', 1))
        );
        v_own := staging.merge_activity(p_round, true, v_run.id);
    END IF;

    -- What others hold of a content or a campaign that has come or gone.
    IF p_source <> 'promptads' AND EXISTS (SELECT FROM staging.moved WHERE kind = 'content') THEN
        v_others := staging.plus(v_others, staging.merge_ads(p_round, false, false, v_run.id));
        v_others := staging.plus(v_others, staging.merge_activity(p_round, false, v_run.id));
    END IF;
    IF p_source <> 'promptcrm' AND EXISTS (SELECT FROM staging.moved WHERE kind = 'campaign') THEN
        v_others := staging.plus(v_others, staging.merge_sales(p_round, false, false, v_run.id));
    END IF;
    IF p_source <> 'promptcrm' AND EXISTS (SELECT FROM staging.moved WHERE kind IN ('campaign', 'content')) THEN
        v_others := staging.plus(v_others, staging.merge_interactions(p_round, false, false, v_run.id));
    END IF;
    PERFORM staging.add_parts();
    SET CONSTRAINTS fk_campaign_month_campaign, fk_client_month_client, fk_content_month_content IMMEDIATE;

    v_changed := v_own.inserted + v_own.updated + v_own.deleted;
    FOR v_table IN SELECT unnest(staging.targets_of(p_source)) LOOP
        PERFORM staging.analyze(v_table, v_changed);
    END LOOP;
    PERFORM staging.analyze('etl_quarantine', v_own.quarantined + coalesce(v_own.displaced, 0) + coalesce(v_others.displaced, 0));
    PERFORM staging.clear(p_round, p_source);
    v_changed := coalesce(v_own.displaced, 0) + coalesce(v_others.displaced, 0);
    IF v_changed > 0 THEN
        v_said := v_said || format('%s went to quarantine with what they refer to', v_changed);
    END IF;
    v_changed := coalesce(v_own.returned, 0) + coalesce(v_others.returned, 0);
    IF v_changed > 0 THEN
        v_said := v_said || format('%s came back from quarantine', v_changed);
    END IF;
    v_said := v_said || v_lost;

    INSERT INTO etl_watermark AS kept (source, kind, upper_bound, origin)
    VALUES (
        p_source,
        CASE
            WHEN p_source = 'promptcontent' THEN 'outbox'
            WHEN p_source = 'cache' THEN 'stream_id'
            WHEN v_upper ~ '^[0-9]+:[0-9]+:' THEN 'xid8'
            ELSE 'rowversion'
        END,
        v_upper,
        v_window.origin
    )
    ON CONFLICT (source) DO UPDATE SET
        kind = excluded.kind,
        upper_bound = excluded.upper_bound,
        origin = excluded.origin,
        updated_at = now(),
        compared_at = CASE WHEN v_window.whole THEN now() ELSE kept.compared_at END;
    UPDATE etl_run SET
        status = 'succeeded',
        finished_at = clock_timestamp(),
        window_to = v_upper,
        rows_read = v_read,
        rows_inserted = v_own.inserted,
        rows_updated = v_own.updated,
        rows_deleted = v_own.deleted,
        rows_quarantined = v_own.quarantined,
        message = nullif(array_to_string(v_said, '; '), '')
    WHERE id = v_run.id
    RETURNING etl_run.message INTO v_wrong;
    RETURN QUERY SELECT v_read, v_own.inserted, v_own.updated, v_own.deleted, v_own.quarantined, v_wrong, 'succeeded';
END
$$;

REVOKE EXECUTE ON FUNCTION
    etl_merge(bigint, text), staging.analyze(regclass, bigint), staging.analyze_staged(regclass[]),
    staging.tables_of(text), staging.targets_of(text),
    staging.clear(bigint, text), staging.lost_activity(text, text, bigint)
FROM PUBLIC;
