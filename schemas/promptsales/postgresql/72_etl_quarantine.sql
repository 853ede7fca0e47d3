-- Which staged rows cannot be merged and why, and their way into quarantine and back.
--
-- For each kind of row a view staging.<kind>_judged gives of each staged row its place, key, reason (NULL: it is right) and payload.

-- The words for a reference to what is not there.
CREATE FUNCTION staging.missing(p_kind text, p_id bigint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE
        WHEN EXISTS (
            SELECT FROM etl_quarantine
            WHERE source = CASE p_kind WHEN 'content' THEN 'promptcontent' WHEN 'client' THEN 'promptcrm' ELSE 'promptads' END
                AND key = p_kind || ' ' || p_id
                AND resolved_at IS NULL
        ) THEN p_kind || ' ' || p_id || ' is in quarantine'
        ELSE 'there is no ' || p_kind || ' ' || p_id
    END
$$;

CREATE VIEW staging.campaign_judged AS
SELECT
    s.ctid AS place,
    s.round,
    'campaign ' || coalesce(s.id::text, '?') AS key,
    CASE
        WHEN s.deleted THEN NULL
        WHEN s.id BETWEEN -2147483648 AND 2147483647 IS NOT TRUE THEN 'the id is none'
        WHEN s.name IS NULL THEN 'it has no name'
        WHEN length(s.name) > 120 THEN 'the name is longer than 120 characters'
        WHEN s.status IN ('draft', 'active', 'paused', 'finished') IS NOT TRUE THEN 'the status is none'
        WHEN (isfinite(s.starts_on) AND isfinite(s.ends_on)) IS NOT TRUE THEN 'a date is missing'
        WHEN s.ends_on < s.starts_on THEN 'it ends before it starts'
        WHEN s.budget < 0 THEN 'the budget is negative'
        WHEN round(s.budget, 2) < 10000000000 IS NOT TRUE THEN 'the budget is none'
        WHEN s.content_id NOT BETWEEN -2147483648 AND 2147483647 THEN 'the content is none'
    END AS reason,
    to_jsonb(s) - '{round,deleted}'::text[] AS payload
FROM staging.campaign AS s;

CREATE VIEW staging.ad_judged AS
SELECT
    s.ctid AS place,
    s.round,
    'ad ' || coalesce(s.id::text, '?') AS key,
    CASE
        WHEN s.deleted THEN NULL
        WHEN s.id IS NULL THEN 'the id is none'
        WHEN s.campaign_id IS NULL THEN 'it has no campaign'
        WHEN campaign.id IS NULL THEN staging.missing('campaign', s.campaign_id)
        WHEN s.content_id IS NOT NULL AND content.id IS NULL THEN staging.missing('content', s.content_id)
    END AS reason,
    to_jsonb(s) - '{round,deleted}'::text[] AS payload
FROM staging.ad AS s
LEFT JOIN campaign ON campaign.id = s.campaign_id
LEFT JOIN content ON content.id = s.content_id;

CREATE VIEW staging.metric_day_judged AS
SELECT
    s.ctid AS place,
    s.round,
    'metric_day ' || coalesce(s.id::text, '?') || coalesce(' ' || s.day::text, '') AS key,
    CASE
        WHEN s.deleted THEN NULL
        WHEN s.id IS NULL THEN 'it has no ad'
        WHEN isfinite(s.day) IS NOT TRUE THEN 'the day is missing'
        WHEN least(s.impressions, s.clicks, s.conversions) < 0 THEN 'a count is negative'
        WHEN s.impressions + s.clicks + s.conversions IS NULL THEN 'a count is missing'
        WHEN s.cost < 0 THEN 'the cost is negative'
        WHEN round(s.cost, 2) < 10000000000 IS NOT TRUE THEN 'the cost is none'
        WHEN ad.id IS NULL THEN staging.missing('ad', s.id)
    END AS reason,
    to_jsonb(s) - '{round,deleted}'::text[] AS payload
FROM staging.metric_day AS s
LEFT JOIN fact.ad ON ad.id = s.id;

CREATE VIEW staging.client_judged AS
SELECT
    s.ctid AS place,
    s.round,
    'client ' || coalesce(s.id::text, '?') AS key,
    CASE
        WHEN s.deleted THEN NULL
        WHEN s.id BETWEEN -2147483648 AND 2147483647 IS NOT TRUE THEN 'the id is none'
        WHEN s.name IS NULL THEN 'it has no name'
        WHEN length(s.name) > 120 THEN 'the name is longer than 120 characters'
        WHEN length(s.country) = 2 IS NOT TRUE THEN 'the country has not two letters'
        WHEN round(abs(s.credit), 2) < 10000000000 IS NOT TRUE THEN 'the credit is none'
        WHEN isfinite(s.day) IS NOT TRUE THEN 'the day is missing'
    END AS reason,
    to_jsonb(s) - '{round,deleted}'::text[] AS payload
FROM staging.client AS s;

CREATE VIEW staging.sale_judged AS
SELECT
    s.ctid AS place,
    s.round,
    'sale ' || coalesce(s.id::text, '?') AS key,
    CASE
        WHEN s.deleted THEN NULL
        WHEN s.id IS NULL THEN 'the id is none'
        WHEN isfinite(s.day) IS NOT TRUE THEN 'the day is missing'
        WHEN s.status IN ('open', 'closed', 'cancelled') IS NOT TRUE THEN 'the status is none'
        WHEN s.total < 0 THEN 'the total is negative'
        WHEN round(s.total, 2) < 10000000000 IS NOT TRUE THEN 'the total is none'
        WHEN s.client_id IS NULL THEN 'it has no client'
        WHEN client.id IS NULL THEN staging.missing('client', s.client_id)
        WHEN s.campaign_id IS NOT NULL AND campaign.id IS NULL THEN staging.missing('campaign', s.campaign_id)
    END AS reason,
    to_jsonb(s) - '{round,deleted}'::text[] AS payload
FROM staging.sale AS s
LEFT JOIN client ON client.id = s.client_id
LEFT JOIN campaign ON campaign.id = s.campaign_id;

CREATE VIEW staging.interaction_judged AS
SELECT
    s.ctid AS place,
    s.round,
    'interaction ' || coalesce(s.id::text, '?') AS key,
    CASE
        WHEN s.deleted THEN NULL
        WHEN s.id IS NULL THEN 'the id is none'
        WHEN isfinite(s.happened_at) IS NOT TRUE THEN 'the time is missing'
        WHEN s.client_id IS NULL THEN 'it has no client'
        WHEN client.id IS NULL THEN staging.missing('client', s.client_id)
        WHEN s.campaign_id IS NOT NULL AND campaign.id IS NULL THEN staging.missing('campaign', s.campaign_id)
        WHEN s.content_id IS NOT NULL AND content.id IS NULL THEN staging.missing('content', s.content_id)
    END AS reason,
    to_jsonb(s) - '{round,deleted}'::text[] AS payload
FROM staging.interaction AS s
LEFT JOIN client ON client.id = s.client_id
LEFT JOIN campaign ON campaign.id = s.campaign_id
LEFT JOIN content ON content.id = s.content_id;

CREATE VIEW staging.content_read_judged AS
SELECT
    s.ctid AS place,
    s.round,
    s.key,
    CASE
        WHEN s.deleted THEN NULL
        WHEN jsonb_typeof(s.document) = 'object' IS NOT TRUE THEN 'it is no document'
        WHEN s.id BETWEEN -2147483648 AND 2147483647 IS NOT TRUE THEN 'the id is none'
        WHEN jsonb_typeof(s.document -> 'title') = 'string' IS NOT TRUE THEN 'it has no title'
        WHEN length(s.document ->> 'title') > 120 THEN 'the title is longer than 120 characters'
        WHEN jsonb_typeof(s.document -> 'hashtags') = 'array' IS NOT TRUE THEN 'it has no hashtags'
        WHEN s.document @? '$.hashtags[*] ? (@.type() != "string")' THEN 'a hashtag is no text'
    END AS reason,
    jsonb_build_object('key', s.key, 'id', s.id, 'document', s.document) AS payload
FROM staging.content_read AS s;

CREATE VIEW staging.activity_read_judged AS
SELECT
    s.ctid AS place,
    s.round,
    'activity ' || coalesce(s.id, '?') AS key,
    CASE
        WHEN s.deleted THEN NULL
        WHEN s.month IS NULL THEN 'the id is none of a stream'
        WHEN s.kind IS NOT NULL AND s.views IS NULL THEN 'the kind is neither view nor like'
        WHEN s.views IS NULL THEN 'it has no kind'
        WHEN s.content ~ '^[0-9]{1,18}$' IS NOT TRUE THEN 'it names no content'
        WHEN content.id IS NULL THEN staging.missing('content', s.content::bigint)
    END AS reason,
    to_jsonb(s) - '{round,deleted}'::text[] AS payload
FROM staging.activity_read AS s
LEFT JOIN content ON s.content ~ '^[0-9]{1,18}$' AND content.id = CASE WHEN s.content ~ '^[0-9]{1,18}$' THEN s.content::bigint END;

-- Lay the rows of a kind that wait in quarantine beside the staged ones, under -p_round; p_own: not those that were read again.
CREATE FUNCTION staging.pull(p_kind text, p_source text, p_round bigint, p_own boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM etl_quarantine WHERE source = p_source AND resolved_at IS NULL AND key LIKE replace(p_kind, '_read', '') || ' %'
    ) THEN
        EXECUTE format(
            'INSERT INTO staging.%1$I SELECT row.* FROM etl_quarantine AS waits '
            'CROSS JOIN LATERAL jsonb_populate_record(NULL::staging.%1$I, waits.payload || jsonb_build_object(''round'', -$1)) AS row '
            'WHERE waits.source = $2 AND waits.resolved_at IS NULL AND waits.key LIKE $3 '
            'AND NOT ($4 AND EXISTS (SELECT FROM staging.%2$I AS s WHERE s.round = $1 AND s.key = waits.key))',
            p_kind, p_kind || '_judged'
        ) USING p_round, p_source, replace(p_kind, '_read', '') || ' %', p_own;
    END IF;
END
$$;

-- Put what cannot be merged into quarantine, and take out what can be now, or is not there any more. A staged row that is put there is
-- "deleted" from here on: a fact that it was before goes. All of the kind that wait have been pulled, or all is read.
CREATE FUNCTION staging.judge(p_kind text, p_source text, p_rounds bigint[], p_run bigint) RETURNS staging.tally
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_tally staging.tally;
    v_pulled bigint;
    v_stayed bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM staging.%I WHERE round = ANY ($1) AND round < 0', p_kind) INTO v_pulled USING p_rounds;
    EXECUTE format(
        'WITH bad AS MATERIALIZED ('
        '    SELECT s.place, s.round, s.key, s.payload, waits.id AS waits,'
        '        CASE WHEN s.round < 0 AND waits.id IS NULL '
        '            THEN regexp_replace(s.reason, ''^there is no (.*)$'', ''\1 was deleted'') ELSE s.reason END AS reason'
        '    FROM staging.%2$I AS s'
        '    LEFT JOIN etl_quarantine AS waits ON waits.source = $2 AND waits.key = s.key AND waits.resolved_at IS NULL'
        '    WHERE s.round = ANY ($1) AND s.reason IS NOT NULL'
        '), marked AS ('
        '    UPDATE staging.%1$I AS s SET deleted = true FROM bad WHERE s.ctid = bad.place'
        '), resolved AS ('
        '    UPDATE etl_quarantine AS waits SET resolved_at = clock_timestamp()'
        '    WHERE waits.source = $2 AND waits.resolved_at IS NULL AND waits.key LIKE $4'
        '        AND waits.id NOT IN (SELECT bad.waits FROM bad WHERE bad.waits IS NOT NULL)'
        '), put AS ('
        '    INSERT INTO etl_quarantine AS kept (source, key, payload, reason, run_id)'
        '    SELECT DISTINCT ON (key) $2, key, payload, reason, $3 FROM bad ORDER BY key, round DESC'
        '    ON CONFLICT (source, key) WHERE resolved_at IS NULL DO UPDATE SET'
        '        payload = excluded.payload, reason = excluded.reason, run_id = excluded.run_id, quarantined_at = now()'
        '    WHERE kept.payload <> excluded.payload'
        '        OR kept.reason NOT IN (excluded.reason, regexp_replace(excluded.reason, ''^there is no (.*)$'', ''\1 was deleted''))'
        ') '
        'SELECT count(*) FILTER (WHERE round > 0), count(*) FILTER (WHERE round < 0 AND waits IS NULL), '
        'count(*) FILTER (WHERE round < 0) FROM bad',
        p_kind, p_kind || '_judged'
    ) INTO v_tally.quarantined, v_tally.displaced, v_stayed USING p_rounds, p_source, p_run, replace(p_kind, '_read', '') || ' %';
    v_tally.returned := v_pulled - v_stayed;
    RETURN v_tally;
END
$$;

CREATE FUNCTION staging.plus(p_one staging.tally, p_other staging.tally) RETURNS staging.tally
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT
        coalesce(p_one.inserted, 0) + coalesce(p_other.inserted, 0),
        coalesce(p_one.updated, 0) + coalesce(p_other.updated, 0),
        coalesce(p_one.deleted, 0) + coalesce(p_other.deleted, 0),
        coalesce(p_one.quarantined, 0) + coalesce(p_other.quarantined, 0),
        coalesce(p_one.displaced, 0) + coalesce(p_other.displaced, 0),
        coalesce(p_one.returned, 0) + coalesce(p_other.returned, 0)
$$;

REVOKE EXECUTE ON FUNCTION
    staging.missing(text, bigint), staging.pull(text, text, bigint, boolean), staging.judge(text, text, bigint[], bigint),
    staging.plus(staging.tally, staging.tally)
FROM PUBLIC;
