-- What changed since: how the ETL reads no more than the changes, and loses none.
--
-- row_version says which transaction wrote a row last, and a watermark is the snapshot in which the ETL last read: a row has changed for it if that
-- snapshot does not see the row's transaction. So a transaction that began before the reading and commits after it is found by the next one, and
-- nothing is found twice. (An upper bound alone, "all below the oldest open transaction", would lose nothing either, but would show states
-- that the database never had: of two transactions the later one without the earlier.) sqlserver/50_changes.sql does it with rowversion.
--
-- What passes the triggers by (session_replication_role, rows restored with their old row_version) is told by: SELECT renew_origin();

INSERT INTO etl_origin DEFAULT VALUES;

CREATE FUNCTION renew_row_version() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.row_version := pg_current_xact_id();
    RETURN NEW;
END;
$$;

-- Who may delete a row need not be allowed to write tombstones: these functions are.
CREATE FUNCTION bury_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'metric_day' THEN
        INSERT INTO tombstone (kind, id, day) SELECT TG_TABLE_NAME, ad_id, day FROM gone;
    ELSE
        INSERT INTO tombstone (kind, id) SELECT TG_TABLE_NAME, id FROM gone;
    END IF;
    RETURN NULL;
END;
$$;

-- A row whose key is changed is another one: the old one is gone.
CREATE FUNCTION bury_rekeyed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'metric_day' THEN
        INSERT INTO tombstone (kind, id, day) VALUES (TG_TABLE_NAME, OLD.ad_id, OLD.day);
    ELSE
        INSERT INTO tombstone (kind, id) VALUES (TG_TABLE_NAME, OLD.id);
    END IF;
    RETURN NULL;
END;
$$;

-- The database began anew for whoever reads changes: the next reading is of everything.
CREATE FUNCTION renew_origin() RETURNS void
LANGUAGE sql AS $$
    INSERT INTO etl_origin DEFAULT VALUES ON CONFLICT (one) DO UPDATE SET origin = EXCLUDED.origin, purged_to = NULL;
$$;

CREATE FUNCTION renew_origin_of_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM renew_origin();
    RETURN NULL;
END;
$$;

CREATE TRIGGER tr_campaign_changed BEFORE UPDATE ON campaign FOR EACH ROW EXECUTE FUNCTION renew_row_version();
CREATE TRIGGER tr_campaign_rekeyed AFTER UPDATE ON campaign FOR EACH ROW
WHEN (old.id <> new.id) EXECUTE FUNCTION bury_rekeyed();
CREATE TRIGGER tr_campaign_deleted AFTER DELETE ON campaign REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION bury_deleted();
CREATE TRIGGER tr_campaign_truncated AFTER TRUNCATE ON campaign FOR EACH STATEMENT EXECUTE FUNCTION renew_origin_of_truncated();

CREATE TRIGGER tr_ad_changed BEFORE UPDATE ON ad FOR EACH ROW EXECUTE FUNCTION renew_row_version();
CREATE TRIGGER tr_ad_rekeyed AFTER UPDATE ON ad FOR EACH ROW
WHEN (old.id <> new.id) EXECUTE FUNCTION bury_rekeyed();
CREATE TRIGGER tr_ad_deleted AFTER DELETE ON ad REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION bury_deleted();
CREATE TRIGGER tr_ad_truncated AFTER TRUNCATE ON ad FOR EACH STATEMENT EXECUTE FUNCTION renew_origin_of_truncated();

CREATE TRIGGER tr_metric_day_changed BEFORE UPDATE ON metric_day FOR EACH ROW EXECUTE FUNCTION renew_row_version();
CREATE TRIGGER tr_metric_day_rekeyed AFTER UPDATE ON metric_day FOR EACH ROW
WHEN ((old.ad_id, old.day) IS DISTINCT FROM (new.ad_id, new.day)) EXECUTE FUNCTION bury_rekeyed();
CREATE TRIGGER tr_metric_day_deleted AFTER DELETE ON metric_day REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION bury_deleted();
CREATE TRIGGER tr_metric_day_truncated AFTER TRUNCATE ON metric_day FOR EACH STATEMENT EXECUTE FUNCTION renew_origin_of_truncated();

CREATE TRIGGER tr_tombstone_truncated AFTER TRUNCATE ON tombstone FOR EACH STATEMENT EXECUTE FUNCTION renew_origin_of_truncated();

-- Removes the tombstones of what was deleted before p_before (UTC) and says how many they were. Whoever has not read that far yet reads
-- everything the next time: etl_origin remembers up to where they are removed.
CREATE FUNCTION purge_tombstones(p_before timestamp DEFAULT (now() AT TIME ZONE 'UTC') - interval '30 days') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
    v_last xid8;
BEGIN
    PERFORM FROM etl_origin FOR UPDATE; -- one at a time
    WITH removed AS (
        DELETE FROM tombstone WHERE deleted_at < p_before RETURNING row_version
    )
    SELECT count(*), max(row_version) INTO v_count, v_last FROM removed;
    UPDATE etl_origin SET purged_to = greatest(purged_to, v_last) WHERE v_count > 0;
    RETURN v_count;
END;
$$;

-- All that changed since an earlier call: its origin and watermark are the columns origin and upper_bound of that call's row of kind "window",
-- which is always the first one. Of deleted rows only the key is given; every key is there at most once.
-- whole: this is not what changed, but all there is; what is not among it is no more. So it is without a watermark (NULL), with one
-- that is none, and with one that is not of this database: restored, truncated, tombstones removed that were not read yet.
-- The caller needs no right but to execute it. It has to be stable: then all of it is one snapshot. Never on a standby, whose
-- snapshots do not say which transactions are under way.
CREATE FUNCTION changes_since(p_origin text, p_watermark text)
RETURNS TABLE (
    kind text,
    deleted boolean,
    id bigint,
    campaign_id bigint,
    content_id bigint,
    name text,
    status text,
    starts_on date,
    ends_on date,
    budget numeric,
    version int,
    day date,
    impressions bigint,
    clicks bigint,
    conversions bigint,
    cost numeric,
    whole boolean,
    origin text,
    upper_bound text
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
-- The plans of a delta are by the indexes whatever the statistics say, and whether the values are known or not.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    v_now pg_snapshot := pg_current_snapshot();
    v_seen pg_snapshot;
    v_origin text;
    v_purged xid8;
    v_whole boolean := true;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'read_only_sql_transaction',
            MESSAGE = 'changes are read from the primary server: this is a standby';
    END IF;
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'active_sql_transaction',
            MESSAGE = 'changes are read by a transaction that has written nothing: its own rows may be rolled back yet';
    END IF;
    -- A copy of a database has its rows, but not its history: server, timeline and database belong to the identity.
    SELECT
        concat_ws(
            ' ', etl_origin.origin, (SELECT system_identifier FROM pg_control_system()),
            left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
            (SELECT pg_database.oid FROM pg_database WHERE datname = current_database())
        ),
        purged_to INTO v_origin, v_purged
    FROM etl_origin;
    IF v_origin IS NULL THEN
        RAISE EXCEPTION USING MESSAGE = 'etl_origin has no row any more: SELECT renew_origin() makes one';
    END IF;
    IF p_origin = v_origin AND pg_input_is_valid(p_watermark, 'pg_snapshot') THEN
        v_seen := p_watermark::pg_snapshot;
        v_whole := pg_snapshot_xmax(v_seen) > pg_snapshot_xmax(v_now) OR coalesce(v_purged >= pg_snapshot_xmin(v_seen), false);
    END IF;
    -- What is read here is to outlive a crash of the server: else the numbers of transactions that were lost in it would be given again, and
    -- the watermark would say of those that they had been read. All log up to here is written by this.
    PERFORM pg_logical_emit_message(false, 'changes_since', '', true);

    RETURN QUERY SELECT
        'window', NULL::boolean, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::date,
        NULL::date, NULL::numeric, NULL::int, NULL::date, NULL::bigint, NULL::bigint, NULL::bigint, NULL::numeric,
        v_whole, v_origin, v_now::text;
    IF v_whole THEN
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true); -- till the function ends
        RETURN QUERY SELECT
            'campaign', false, c.id::bigint, NULL::bigint, c.content_id::bigint, c.name::text, c.status::text,
            c.starts_on, c.ends_on, c.budget, c.version, NULL::date, NULL::bigint, NULL::bigint, NULL::bigint,
            NULL::numeric, NULL::boolean, NULL::text, NULL::text
        FROM campaign AS c;
        RETURN QUERY SELECT
            'ad', false, a.id::bigint, a.campaign_id::bigint, a.content_id::bigint, NULL::text, NULL::text, NULL::date,
            NULL::date, NULL::numeric, NULL::int, NULL::date, NULL::bigint, NULL::bigint, NULL::bigint, NULL::numeric,
            NULL::boolean, NULL::text, NULL::text
        FROM ad AS a;
        RETURN QUERY SELECT
            'metric_day', false, m.ad_id::bigint, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::date,
            NULL::date, NULL::numeric, NULL::int, m.day, m.impressions::bigint, m.clicks::bigint, m.conversions::bigint,
            m.cost, NULL::boolean, NULL::text, NULL::text
        FROM metric_day AS m;
        RETURN;
    END IF;
    RETURN QUERY SELECT
        'campaign', false, c.id::bigint, NULL::bigint, c.content_id::bigint, c.name::text, c.status::text,
        c.starts_on, c.ends_on, c.budget, c.version, NULL::date, NULL::bigint, NULL::bigint, NULL::bigint,
        NULL::numeric, NULL::boolean, NULL::text, NULL::text
    FROM campaign AS c
    WHERE
        c.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(c.row_version, v_seen)
        AND c.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(c.row_version, v_now);
    RETURN QUERY SELECT
        'ad', false, a.id::bigint, a.campaign_id::bigint, a.content_id::bigint, NULL::text, NULL::text, NULL::date,
        NULL::date, NULL::numeric, NULL::int, NULL::date, NULL::bigint, NULL::bigint, NULL::bigint, NULL::numeric,
        NULL::boolean, NULL::text, NULL::text
    FROM ad AS a
    WHERE
        a.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(a.row_version, v_seen)
        AND a.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(a.row_version, v_now);
    RETURN QUERY SELECT
        'metric_day', false, m.ad_id::bigint, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::date,
        NULL::date, NULL::numeric, NULL::int, m.day, m.impressions::bigint, m.clicks::bigint, m.conversions::bigint,
        m.cost, NULL::boolean, NULL::text, NULL::text
    FROM metric_day AS m
    WHERE
        m.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(m.row_version, v_seen)
        AND m.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(m.row_version, v_now);
    RETURN QUERY SELECT DISTINCT
        'campaign', true, t.id, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::date, NULL::date,
        NULL::numeric, NULL::int, NULL::date, NULL::bigint, NULL::bigint, NULL::bigint, NULL::numeric, NULL::boolean,
        NULL::text, NULL::text
    FROM tombstone AS t
    WHERE
        t.kind = 'campaign'
        AND t.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(t.row_version, v_seen)
        AND t.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(t.row_version, v_now)
        AND NOT EXISTS (SELECT FROM campaign AS c WHERE c.id = t.id);
    RETURN QUERY SELECT DISTINCT
        'ad', true, t.id, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::date, NULL::date, NULL::numeric,
        NULL::int, NULL::date, NULL::bigint, NULL::bigint, NULL::bigint, NULL::numeric, NULL::boolean, NULL::text,
        NULL::text
    FROM tombstone AS t
    WHERE
        t.kind = 'ad'
        AND t.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(t.row_version, v_seen)
        AND t.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(t.row_version, v_now)
        AND NOT EXISTS (SELECT FROM ad AS a WHERE a.id = t.id);
    RETURN QUERY SELECT DISTINCT
        'metric_day', true, t.id, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::date, NULL::date,
        NULL::numeric, NULL::int, t.day, NULL::bigint, NULL::bigint, NULL::bigint, NULL::numeric, NULL::boolean,
        NULL::text, NULL::text
    FROM tombstone AS t
    WHERE
        t.kind = 'metric_day'
        AND t.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(t.row_version, v_seen)
        AND t.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(t.row_version, v_now)
        AND NOT EXISTS (SELECT FROM metric_day AS m WHERE m.ad_id = t.id AND m.day = t.day);
END;
$$;

REVOKE ALL ON FUNCTION changes_since(text, text) FROM public;
REVOKE ALL ON FUNCTION purge_tombstones(timestamp) FROM public;
REVOKE ALL ON FUNCTION renew_origin() FROM public;
