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
    INSERT INTO tombstone (kind, id) SELECT TG_TABLE_NAME, id FROM gone;
    RETURN NULL;
END;
$$;

-- A row whose key is changed is another one: the old one is gone.
CREATE FUNCTION bury_rekeyed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO tombstone (kind, id) VALUES (TG_TABLE_NAME, OLD.id);
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

CREATE TRIGGER tr_client_changed BEFORE UPDATE ON client FOR EACH ROW EXECUTE FUNCTION renew_row_version();
CREATE TRIGGER tr_client_rekeyed AFTER UPDATE ON client FOR EACH ROW
WHEN (old.id <> new.id) EXECUTE FUNCTION bury_rekeyed();
CREATE TRIGGER tr_client_deleted AFTER DELETE ON client REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION bury_deleted();
CREATE TRIGGER tr_client_truncated AFTER TRUNCATE ON client FOR EACH STATEMENT EXECUTE FUNCTION renew_origin_of_truncated();

CREATE TRIGGER tr_sale_changed BEFORE UPDATE ON sale FOR EACH ROW EXECUTE FUNCTION renew_row_version();
CREATE TRIGGER tr_sale_rekeyed AFTER UPDATE ON sale FOR EACH ROW
WHEN (old.id <> new.id) EXECUTE FUNCTION bury_rekeyed();
CREATE TRIGGER tr_sale_deleted AFTER DELETE ON sale REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION bury_deleted();
CREATE TRIGGER tr_sale_truncated AFTER TRUNCATE ON sale FOR EACH STATEMENT EXECUTE FUNCTION renew_origin_of_truncated();

CREATE TRIGGER tr_interaction_changed BEFORE UPDATE ON interaction FOR EACH ROW EXECUTE FUNCTION renew_row_version();
CREATE TRIGGER tr_interaction_rekeyed AFTER UPDATE ON interaction FOR EACH ROW
WHEN (old.id <> new.id) EXECUTE FUNCTION bury_rekeyed();
CREATE TRIGGER tr_interaction_deleted AFTER DELETE ON interaction REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION bury_deleted();
CREATE TRIGGER tr_interaction_truncated AFTER TRUNCATE ON interaction FOR EACH STATEMENT EXECUTE FUNCTION renew_origin_of_truncated();

-- Of a city only the country is read.
CREATE TRIGGER tr_city_changed BEFORE UPDATE ON city FOR EACH ROW
WHEN (old.country IS DISTINCT FROM new.country) EXECUTE FUNCTION renew_row_version();

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
    client_id bigint,
    campaign_id bigint,
    content_id bigint,
    name text,
    country text,
    credit numeric,
    day date,
    status text,
    total numeric,
    happened_at timestamp,
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
        'window', NULL::boolean, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text, NULL::text,
        NULL::numeric, NULL::date, NULL::text, NULL::numeric, NULL::timestamp, v_whole, v_origin, v_now::text;
    IF v_whole THEN
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true); -- till the function ends
        RETURN QUERY SELECT
            'client', false, c.id::bigint, NULL::bigint, NULL::bigint, NULL::bigint, c.name::text, city.country::text,
            c.credit, c.created_on, NULL::text, NULL::numeric, NULL::timestamp, NULL::boolean, NULL::text, NULL::text
        FROM client AS c
        INNER JOIN city ON city.id = c.city_id;
        RETURN QUERY SELECT
            'sale', false, s.id, s.client_id::bigint, s.campaign_id::bigint, NULL::bigint, NULL::text, NULL::text,
            NULL::numeric, s.sold_on, s.status::text, s.total, NULL::timestamp, NULL::boolean, NULL::text, NULL::text
        FROM sale AS s;
        RETURN QUERY SELECT
            'interaction', false, i.id, i.client_id::bigint, i.campaign_id::bigint, i.content_id::bigint, NULL::text,
            NULL::text, NULL::numeric, NULL::date, NULL::text, NULL::numeric, i.happened_at::timestamp, NULL::boolean,
            NULL::text, NULL::text
        FROM interaction AS i;
        RETURN;
    END IF;
    RETURN QUERY SELECT
        'client', false, c.id::bigint, NULL::bigint, NULL::bigint, NULL::bigint, c.name::text, city.country::text,
        c.credit, c.created_on, NULL::text, NULL::numeric, NULL::timestamp, NULL::boolean, NULL::text, NULL::text
    FROM client AS c
    INNER JOIN city ON city.id = c.city_id
    WHERE
        c.id IN (
            SELECT own.id FROM client AS own
            WHERE
                own.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(own.row_version, v_seen)
                AND own.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(own.row_version, v_now)
            UNION
            -- The country is the city's. To mark its clients instead would miss one that is inserted at the same time.
            SELECT of_city.id
            FROM city AS moved
            INNER JOIN client AS of_city ON of_city.city_id = moved.id
            WHERE
                moved.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(moved.row_version, v_seen)
                AND moved.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(moved.row_version, v_now)
        );
    RETURN QUERY SELECT
        'sale', false, s.id, s.client_id::bigint, s.campaign_id::bigint, NULL::bigint, NULL::text, NULL::text,
        NULL::numeric, s.sold_on, s.status::text, s.total, NULL::timestamp, NULL::boolean, NULL::text, NULL::text
    FROM sale AS s
    WHERE
        s.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(s.row_version, v_seen)
        AND s.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(s.row_version, v_now);
    RETURN QUERY SELECT
        'interaction', false, i.id, i.client_id::bigint, i.campaign_id::bigint, i.content_id::bigint, NULL::text,
        NULL::text, NULL::numeric, NULL::date, NULL::text, NULL::numeric, i.happened_at::timestamp, NULL::boolean,
        NULL::text, NULL::text
    FROM interaction AS i
    WHERE
        i.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(i.row_version, v_seen)
        AND i.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(i.row_version, v_now);
    RETURN QUERY SELECT DISTINCT
        'client', true, t.id, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::numeric,
        NULL::date, NULL::text, NULL::numeric, NULL::timestamp, NULL::boolean, NULL::text, NULL::text
    FROM tombstone AS t
    WHERE
        t.kind = 'client'
        AND t.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(t.row_version, v_seen)
        AND t.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(t.row_version, v_now)
        AND NOT EXISTS (SELECT FROM client AS c WHERE c.id = t.id);
    RETURN QUERY SELECT DISTINCT
        'sale', true, t.id, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::numeric,
        NULL::date, NULL::text, NULL::numeric, NULL::timestamp, NULL::boolean, NULL::text, NULL::text
    FROM tombstone AS t
    WHERE
        t.kind = 'sale'
        AND t.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(t.row_version, v_seen)
        AND t.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(t.row_version, v_now)
        AND NOT EXISTS (SELECT FROM sale AS s WHERE s.id = t.id);
    RETURN QUERY SELECT DISTINCT
        'interaction', true, t.id, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text, NULL::text, NULL::numeric,
        NULL::date, NULL::text, NULL::numeric, NULL::timestamp, NULL::boolean, NULL::text, NULL::text
    FROM tombstone AS t
    WHERE
        t.kind = 'interaction'
        AND t.row_version >= pg_snapshot_xmin(v_seen) AND NOT pg_visible_in_snapshot(t.row_version, v_seen)
        AND t.row_version < pg_snapshot_xmax(v_now) AND pg_visible_in_snapshot(t.row_version, v_now)
        AND NOT EXISTS (SELECT FROM interaction AS i WHERE i.id = t.id);
END;
$$;

REVOKE ALL ON FUNCTION changes_since(text, text) FROM public;
REVOKE ALL ON FUNCTION purge_tombstones(timestamp) FROM public;
REVOKE ALL ON FUNCTION renew_origin() FROM public;
