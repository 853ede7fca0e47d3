-- PromptContent: contents, read whole or as entries of the outbox.

-- A whole number of a document, as MongoDB's driver writes it: 5, {"$numberLong": "5"}, {"$numberInt": "5"}; NULL if it is none.
CREATE FUNCTION staging.whole_number(p_value jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE WHEN text ~ '^-?[0-9]{1,18}(\.0+)?$' THEN text::numeric::bigint END
    FROM (
        SELECT CASE jsonb_typeof(p_value)
            WHEN 'number' THEN p_value #>> '{}'
            WHEN 'object' THEN coalesce(p_value ->> '$numberLong', p_value ->> '$numberInt', p_value ->> '$numberDouble')
        END AS text
    )
$$;

-- A text as JSON; one that is none as a string, so that it can be shown in quarantine. In SQL the cast would be tried at once.
CREATE FUNCTION staging.document_of(p_text text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF pg_input_is_valid(p_text, 'jsonb') THEN
        RETURN p_text::jsonb;
    END IF;
    RETURN to_jsonb(p_text);
END
$$;

-- Documents that were read whole.
CREATE FUNCTION staging.read_contents(p_round bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO staging.content_read (round, deleted, key, id, document)
    SELECT DISTINCT ON (key) p_round, false, key, id, document
    FROM (
        SELECT
            'content ' || coalesce(staging.whole_number(document -> '_id')::text, md5(document::text)) AS key,
            staging.whole_number(document -> '_id') AS id,
            document
        FROM (SELECT coalesce(staging.document_of(document), 'null') AS document FROM staging.content
            WHERE round = p_round AND kind = 'content')
    )
    ORDER BY key
$$;

-- Entries of the outbox, the last one of each content; p_before is the position of the last one that was merged. Gives the last position
-- (NULL: there are none), and what is wrong with them if something is.
CREATE FUNCTION staging.read_outbox(p_round bigint, p_before bigint, OUT o_position bigint, OUT o_wrong text)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_unread bigint;
    v_expected bigint;
    v_next bigint;
BEGIN
    SELECT count(*) FILTER (WHERE position IS NULL), max(position) INTO v_unread, o_position
    FROM (
        SELECT staging.whole_number(staging.document_of(document) -> 'position') AS position
        FROM staging.content WHERE round = p_round AND kind = 'outbox'
    );
    IF v_unread > 0 THEN
        o_wrong := 'an entry of the outbox has no position';
        RETURN;
    END IF;
    SELECT before + 1, position - 1 INTO v_expected, v_next
    FROM (
        SELECT position, lag(position, 1, p_before) OVER (ORDER BY position) AS before
        FROM (
            SELECT DISTINCT staging.whole_number(staging.document_of(document) -> 'position') AS position
            FROM staging.content WHERE round = p_round AND kind = 'outbox'
        )
        WHERE position > p_before
    )
    WHERE position > before + 1
    ORDER BY position
    LIMIT 1;
    IF FOUND THEN
        o_wrong := CASE
            WHEN v_expected = v_next THEN format('entry %s of the outbox was purged before it was read', v_expected)
            ELSE format('entries %s to %s of the outbox were purged before they were read', v_expected, v_next)
        END;
        RETURN;
    END IF;
    INSERT INTO staging.content_read (round, deleted, key, id, document)
    SELECT DISTINCT ON (key) p_round, entry ->> 'operation' IS NOT DISTINCT FROM 'delete', key, id, entry -> 'content'
    FROM (
        SELECT
            entry,
            staging.whole_number(entry -> 'position') AS position,
            -- An entry that names no content is bad; it is known by itself.
            'content ' || coalesce(staging.whole_number(entry -> 'content_id')::text, md5(entry::text)) AS key,
            staging.whole_number(entry -> 'content_id') AS id
        FROM (SELECT staging.document_of(document) AS entry FROM staging.content WHERE round = p_round AND kind = 'outbox')
    )
    WHERE position > p_before
    ORDER BY key, position DESC;
END
$$;

CREATE FUNCTION staging.merge_content(p_round bigint, p_whole boolean, p_run bigint) RETURNS staging.tally
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_rounds bigint[] := ARRAY[p_round, -p_round];
    v_tally staging.tally;
    v_gone bigint[];
BEGIN
    IF NOT p_whole THEN
        PERFORM staging.pull('content_read', 'promptcontent', p_round, true);
    END IF;
    v_tally := staging.judge('content_read', 'promptcontent', v_rounds, p_run);

    IF p_whole THEN
        v_gone := array(
            SELECT id FROM content WHERE NOT EXISTS (
                SELECT FROM staging.content_read AS s WHERE s.round = ANY (v_rounds) AND s.id = content.id AND s.deleted IS NOT TRUE
            )
        );
    ELSE
        v_gone := array(SELECT id FROM staging.content_read WHERE round = ANY (v_rounds) AND deleted);
    END IF;
    WITH gone AS (
        DELETE FROM content WHERE id = ANY (v_gone) RETURNING id
    ), noted AS (
        INSERT INTO staging.moved (kind, id, gone) SELECT 'content', id, true FROM gone
    )
    SELECT count(*) INTO v_tally.deleted FROM gone;

    WITH right_ones AS (
        SELECT
            id::int AS id,
            document ->> 'title' AS title,
            array(SELECT jsonb_array_elements_text(document -> 'hashtags')) AS hashtags
        FROM staging.content_read
        WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE
    ), put AS (
        INSERT INTO content (id, title, hashtags)
        SELECT id, title, hashtags FROM right_ones
        WHERE NOT EXISTS (
            SELECT FROM content AS kept
            WHERE kept.id = right_ones.id AND kept.title = right_ones.title AND kept.hashtags = right_ones.hashtags
        )
        ON CONFLICT (id) DO UPDATE SET title = excluded.title, hashtags = excluded.hashtags
        RETURNING id, xmax = 0 AS fresh
    ), noted AS (
        INSERT INTO staging.moved (kind, id, gone) SELECT 'content', id, false FROM put WHERE fresh
    )
    SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) INTO v_tally.inserted, v_tally.updated FROM put;
    RETURN v_tally;
END
$$;

REVOKE EXECUTE ON FUNCTION
    staging.whole_number(jsonb), staging.document_of(text), staging.read_contents(bigint), staging.read_outbox(bigint, bigint),
    staging.merge_content(bigint, boolean, bigint)
FROM PUBLIC;
