-- Two things that happen by themselves: what was changed and by whom is written down, and month_summary follows its sources.

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_audit_log PRIMARY KEY,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    table_name name NOT NULL,
    operation varchar(8) NOT NULL,
    row_key text, -- none for TRUNCATE
    old_values jsonb, -- of an UPDATE what has changed, of a DELETE all
    new_values jsonb, -- of an UPDATE what has changed, of an INSERT all
    database_user name NOT NULL,
    database_role name, -- if the user has taken one (SET ROLE)
    application_identity text, -- whom the application acts for, as it says: SET promptsales.identity
    CONSTRAINT ck_audit_log_operation CHECK (operation IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
);
CREATE INDEX ix_audit_log_table_name_row_key ON audit_log (table_name, row_key);
CREATE INDEX ix_audit_log_happened_at ON audit_log (happened_at);

-- Arguments: columns whose values are secret (that they changed is shown, as ***), columns that are not written down at all;
-- both separated by commas. It runs with its owner's rights: who writes a plan needs none on the log.
CREATE FUNCTION audit_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_old jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) - string_to_array(TG_ARGV[1], ',') END;
    v_new jsonb := CASE WHEN TG_OP IN ('UPDATE', 'INSERT') THEN to_jsonb(NEW) - string_to_array(TG_ARGV[1], ',') END;
    v_key text := coalesce(v_new, v_old) ->> 'id';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(before.key, before.value), jsonb_object_agg(after.key, after.value) INTO v_old, v_new
        FROM jsonb_each(v_old) AS before JOIN jsonb_each(v_new) AS after USING (key)
        WHERE before.value IS DISTINCT FROM after.value;
        IF v_new IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO audit_log
        (table_name, operation, row_key, old_values, new_values, database_user, database_role, application_identity)
    VALUES (
        TG_TABLE_NAME, TG_OP, v_key, without_secrets(v_old, TG_ARGV[0]), without_secrets(v_new, TG_ARGV[0]),
        session_user, nullif(current_setting('role'), 'none'), nullif(current_setting('promptsales.identity', true), '')
    );
    RETURN NULL;
END
$$;

CREATE FUNCTION without_secrets(p_values jsonb, p_secret text) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT jsonb_object_agg(
        key, CASE WHEN key = ANY (string_to_array(p_secret, ',')) AND value <> 'null' THEN '"***"' ELSE value END
    )
    FROM jsonb_each(p_values)
$$;

CREATE FUNCTION audit_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO audit_log (table_name, operation, database_user, database_role, application_identity)
    VALUES (
        TG_TABLE_NAME, TG_OP,
        session_user, nullif(current_setting('role'), 'none'), nullif(current_setting('promptsales.identity', true), '')
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER tr_plan_audit AFTER INSERT OR UPDATE OR DELETE ON plan
FOR EACH ROW EXECUTE FUNCTION audit_row('', '');
CREATE TRIGGER tr_plan_audit_truncate AFTER TRUNCATE ON plan
FOR EACH STATEMENT EXECUTE FUNCTION audit_truncate();
CREATE TRIGGER tr_campaign_audit AFTER INSERT OR UPDATE OR DELETE ON campaign
FOR EACH ROW EXECUTE FUNCTION audit_row('', '');
CREATE TRIGGER tr_campaign_audit_truncate AFTER TRUNCATE ON campaign
FOR EACH STATEMENT EXECUTE FUNCTION audit_truncate();
CREATE TRIGGER tr_identity_audit AFTER INSERT OR UPDATE OR DELETE ON identity
FOR EACH ROW EXECUTE FUNCTION audit_row('password_hash', 'failed_attempts');
CREATE TRIGGER tr_identity_audit_truncate AFTER TRUNCATE ON identity
FOR EACH STATEMENT EXECUTE FUNCTION audit_truncate();

-- month_summary = the sums over campaign_month (cost) and client_month (sales, revenue, interactions). A month in which all four are
-- zero has no row. Each statement adds what it changed. SET LOCAL promptsales.upkeep = 'off' leaves that out; who does so calls
-- rebuild_month_summary() afterwards.
--
-- Who moves the summary first takes a lock that there is one of, and keeps it till the end of the transaction. To lock the rows of the
-- months in order would not do: an upsert or a MERGE fires two triggers, each in order, and two of those wait for each other.
CREATE FUNCTION add_to_month_summary(p_changes month_summary[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    p_changes := array(
        SELECT change FROM unnest(p_changes) AS change WHERE (cost, sales, revenue, interactions) <> (0, 0, 0, 0)
    );
    IF p_changes = '{}' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock('month_summary'::regclass::oid::bigint);
    INSERT INTO month_summary AS kept (month, cost, sales, revenue, interactions)
    SELECT month, cost, sales, revenue, interactions FROM unnest(p_changes) ORDER BY month
    ON CONFLICT (month) DO UPDATE SET
        cost = kept.cost + excluded.cost,
        sales = kept.sales + excluded.sales,
        revenue = kept.revenue + excluded.revenue,
        interactions = kept.interactions + excluded.interactions;
    DELETE FROM month_summary
    WHERE month IN (SELECT change.month FROM unnest(p_changes) AS change)
        AND (cost, sales, revenue, interactions) = (0, 0, 0, 0);
END
$$;

CREATE FUNCTION keep_campaign_month() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_changes month_summary[];
BEGIN
    IF current_setting('promptsales.upkeep', true) = 'off' THEN
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(ROW(month, cost, 0, 0, 0)::month_summary) INTO v_changes
        FROM (SELECT month, sum(cost) AS cost FROM new_rows GROUP BY month);
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(ROW(month, -cost, 0, 0, 0)::month_summary) INTO v_changes
        FROM (SELECT month, sum(cost) AS cost FROM old_rows GROUP BY month);
    ELSE
        SELECT array_agg(ROW(month, cost, 0, 0, 0)::month_summary) INTO v_changes
        FROM (
            SELECT month, sum(cost) AS cost
            FROM (SELECT month, cost FROM new_rows UNION ALL SELECT month, -cost FROM old_rows)
            GROUP BY month
        );
    END IF;
    PERFORM add_to_month_summary(v_changes);
    RETURN NULL;
END
$$;

CREATE FUNCTION keep_client_month() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_changes month_summary[];
BEGIN
    IF current_setting('promptsales.upkeep', true) = 'off' THEN
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(ROW(month, 0, sales, revenue, interactions)::month_summary) INTO v_changes
        FROM (
            SELECT month, sum(sales) AS sales, sum(revenue) AS revenue, sum(interactions) AS interactions
            FROM new_rows GROUP BY month
        );
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(ROW(month, 0, -sales, -revenue, -interactions)::month_summary) INTO v_changes
        FROM (
            SELECT month, sum(sales) AS sales, sum(revenue) AS revenue, sum(interactions) AS interactions
            FROM old_rows GROUP BY month
        );
    ELSE
        SELECT array_agg(ROW(month, 0, sales, revenue, interactions)::month_summary) INTO v_changes
        FROM (
            SELECT month, sum(sales) AS sales, sum(revenue) AS revenue, sum(interactions) AS interactions
            FROM (
                SELECT month, sales, revenue, interactions FROM new_rows
                UNION ALL
                SELECT month, -sales, -revenue, -interactions FROM old_rows
            )
            GROUP BY month
        );
    END IF;
    PERFORM add_to_month_summary(v_changes);
    RETURN NULL;
END
$$;

CREATE FUNCTION keep_truncated_month() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF current_setting('promptsales.upkeep', true) = 'off' THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock('month_summary'::regclass::oid::bigint);
    IF TG_TABLE_NAME = 'campaign_month' THEN
        UPDATE month_summary SET cost = 0 WHERE cost <> 0;
    ELSE
        UPDATE month_summary SET sales = 0, revenue = 0, interactions = 0
        WHERE (sales, revenue, interactions) <> (0, 0, 0);
    END IF;
    DELETE FROM month_summary WHERE (cost, sales, revenue, interactions) = (0, 0, 0, 0);
    RETURN NULL;
END
$$;

CREATE TRIGGER tr_campaign_month_insert AFTER INSERT ON campaign_month
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION keep_campaign_month();
CREATE TRIGGER tr_campaign_month_update AFTER UPDATE ON campaign_month
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION keep_campaign_month();
CREATE TRIGGER tr_campaign_month_delete AFTER DELETE ON campaign_month
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION keep_campaign_month();
CREATE TRIGGER tr_campaign_month_truncate AFTER TRUNCATE ON campaign_month
FOR EACH STATEMENT EXECUTE FUNCTION keep_truncated_month();

CREATE TRIGGER tr_client_month_insert AFTER INSERT ON client_month
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION keep_client_month();
CREATE TRIGGER tr_client_month_update AFTER UPDATE ON client_month
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION keep_client_month();
CREATE TRIGGER tr_client_month_delete AFTER DELETE ON client_month
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION keep_client_month();
CREATE TRIGGER tr_client_month_truncate AFTER TRUNCATE ON client_month
FOR EACH STATEMENT EXECUTE FUNCTION keep_truncated_month();

-- Make month_summary anew from its sources; how many months were not as they should be (0: it was right). Who moves the
-- summary waits meanwhile. Needs READ COMMITTED: an older snapshot would miss what they have committed last.
CREATE FUNCTION rebuild_month_summary() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_changed int;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'rebuild_month_summary() needs READ COMMITTED' USING ERRCODE = 'feature_not_supported';
    END IF;
    -- Who has this lock knows that nobody has added something that is not committed; who waits for it adds to what is made here.
    PERFORM pg_advisory_xact_lock('month_summary'::regclass::oid::bigint);
    WITH summed AS (
        SELECT
            month,
            coalesce(spent.cost, 0) AS cost,
            coalesce(earned.sales, 0) AS sales,
            coalesce(earned.revenue, 0) AS revenue,
            coalesce(earned.interactions, 0) AS interactions
        FROM (SELECT month, sum(cost) AS cost FROM campaign_month GROUP BY month) AS spent
        FULL JOIN (
            SELECT month, sum(sales) AS sales, sum(revenue) AS revenue, sum(interactions) AS interactions
            FROM client_month GROUP BY month
        ) AS earned USING (month)
    ), right_ones AS (
        SELECT * FROM summed WHERE (cost, sales, revenue, interactions) <> (0, 0, 0, 0)
    ), gone AS (
        DELETE FROM month_summary WHERE month NOT IN (SELECT month FROM right_ones) RETURNING 1
    ), put AS (
        INSERT INTO month_summary AS kept (month, cost, sales, revenue, interactions)
        SELECT month, cost, sales, revenue, interactions FROM right_ones ORDER BY month
        ON CONFLICT (month) DO UPDATE SET
            cost = excluded.cost,
            sales = excluded.sales,
            revenue = excluded.revenue,
            interactions = excluded.interactions
        WHERE (kept.cost, kept.sales, kept.revenue, kept.interactions)
            <> (excluded.cost, excluded.sales, excluded.revenue, excluded.interactions)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM put) INTO v_changed;
    RETURN v_changed;
END
$$;

REVOKE EXECUTE ON FUNCTION
    audit_row(), without_secrets(jsonb, text), audit_truncate(), add_to_month_summary(month_summary[]), keep_campaign_month(),
    keep_client_month(), keep_truncated_month(), rebuild_month_summary()
FROM PUBLIC;
