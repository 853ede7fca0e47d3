-- The cache's stream of activity: what is viewed and liked. An entry is a fact that happens once, so that no single ones are kept:
-- content_month.views and likes are all that is remembered of them.

-- The id of an entry of a stream as a number that sorts as ids do; NULL if it is none.
CREATE FUNCTION staging.stream_position(p_id text) RETURNS numeric
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE
        WHEN p_id ~ '^[0-9]{1,20}-[0-9]{1,20}$'
            THEN split_part(p_id, '-', 1)::numeric * 100000000000000000000 + split_part(p_id, '-', 2)::numeric
    END
$$;

-- Entries after p_after (NULL: all) and up to p_upto, each once; how many there are, and how many that are none.
CREATE FUNCTION staging.read_activity(p_round bigint, p_after text, p_upto text) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    WITH read AS (
        INSERT INTO staging.activity_read (round, deleted, id, content, kind, month, views, likes)
        SELECT DISTINCT ON (id)
            p_round,
            false,
            id,
            content,
            kind,
            -- Beyond the year 9999 is no time that a clock has shown.
            CASE
                WHEN split_part(id, '-', 1)::numeric < 253402300800000
                    THEN date_trunc('month', timestamp '1970-01-01' + split_part(id, '-', 1)::bigint * interval '1 millisecond')::date
            END,
            CASE kind WHEN 'view' THEN 1 WHEN 'like' THEN 0 END,
            CASE kind WHEN 'view' THEN 0 WHEN 'like' THEN 1 END
        FROM staging.activity
        WHERE round = p_round
            AND staging.stream_position(id) > coalesce(staging.stream_position(p_after), -1)
            AND staging.stream_position(id) <= staging.stream_position(p_upto)
        ORDER BY id
        RETURNING 1
    )
    SELECT count(*) FROM read
$$;

-- p_own: the stream was read; otherwise a content has come or gone.
CREATE FUNCTION staging.merge_activity(p_round bigint, p_own boolean, p_run bigint) RETURNS staging.tally
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_rounds bigint[] := CASE WHEN p_own THEN ARRAY[p_round, -p_round] ELSE ARRAY[-p_round] END;
    v_tally staging.tally;
BEGIN
    PERFORM staging.pull('activity_read', 'cache', p_round, p_own);
    -- What a content that has gone had: put together by month, for there are no single entries any more.
    WITH lost AS (
        SELECT content_id, month, views, likes FROM content_month
        WHERE content_id = ANY (array(SELECT id FROM staging.moved WHERE kind = 'content' AND gone)) AND (views, likes) <> (0, 0)
    ), noted AS (
        INSERT INTO staging.content_part (content_id, month, views, likes)
        SELECT content_id, month, -views, -likes FROM lost
    )
    INSERT INTO staging.activity_read (round, id, content, kind, month, views, likes)
    SELECT -p_round, 'with content ' || content_id || ' in ' || to_char(month, 'YYYY-MM'), content_id, 'sum', month, views, likes
    FROM lost;
    v_tally := staging.judge('activity_read', 'cache', v_rounds, p_run);
    WITH added AS (
        INSERT INTO staging.content_part (content_id, month, views, likes)
        SELECT content::bigint, month, sum(views), sum(likes) FROM staging.activity_read
        WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE
        GROUP BY content, month
    )
    SELECT count(*), 0, 0 INTO v_tally.inserted, v_tally.updated, v_tally.deleted FROM staging.activity_read
    WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE;
    RETURN v_tally;
END
$$;

REVOKE EXECUTE ON FUNCTION
    staging.stream_position(text), staging.read_activity(bigint, text, text), staging.merge_activity(bigint, boolean, bigint)
FROM PUBLIC;
