-- Who may do what, least first: the roles are groups without login, the same ones for all databases of a server.
-- Safe to run twice, and by several processes at once.

DO $$
DECLARE
    v_role name;
BEGIN
    PERFORM pg_advisory_xact_lock(10); -- one at a time in this database, till the end of the file: it is one transaction
    FOREACH v_role IN ARRAY ARRAY[
        'promptsales_reader', 'promptsales_analyst', 'promptsales_etl', 'promptsales_sso', 'promptsales_admin',
        'promptsales_mcp', 'promptsales_mcp_gate'
    ] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- somebody else has made it
        END;
    END LOOP;
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public
FROM PUBLIC, promptsales_reader, promptsales_analyst, promptsales_etl, promptsales_sso, promptsales_admin,
    promptsales_mcp, promptsales_mcp_gate;
REVOKE ALL ON ALL ROUTINES IN SCHEMA public
FROM PUBLIC, promptsales_reader, promptsales_analyst, promptsales_etl, promptsales_sso, promptsales_admin,
    promptsales_mcp, promptsales_mcp_gate;

GRANT USAGE ON SCHEMA public
TO promptsales_reader, promptsales_analyst, promptsales_etl, promptsales_sso, promptsales_admin,
    promptsales_mcp, promptsales_mcp_gate;

-- The reader sees the boards: nothing of single clients.
GRANT SELECT ON plan, content, month_summary, month_board, campaign_performance, content_reach, etl_state, etl_log
TO promptsales_reader, promptsales_analyst, promptsales_admin;

-- The analyst sees all summaries, and what clients are worth; no identities, no sessions, no audit log.
GRANT SELECT ON campaign, campaign_month, client_month, content_month, client_value
TO promptsales_analyst, promptsales_admin;

-- The ETL writes what comes from elsewhere and what it keeps for itself. month_summary is the triggers' work.
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign, content, client, campaign_month, client_month, content_month
TO promptsales_etl;
GRANT SELECT, INSERT, UPDATE ON etl_run, etl_quarantine TO promptsales_etl;
GRANT SELECT, INSERT, UPDATE, DELETE ON etl_watermark TO promptsales_etl;
GRANT SELECT ON month_summary, etl_state, etl_log TO promptsales_etl;
GRANT USAGE ON SEQUENCE etl_round TO promptsales_etl;
GRANT EXECUTE ON FUNCTION
    etl_due(interval), etl_begin(), etl_window(bigint, text), etl_merge(bigint, text), etl_fail(bigint, text, text), etl_forget(text)
TO promptsales_etl;
GRANT EXECUTE ON FUNCTION rebuild_month_summary() TO promptsales_etl, promptsales_admin;

-- The functions run with the caller's rights: these are what a merge needs of the places where it works.
REVOKE ALL ON SCHEMA staging, fact
FROM PUBLIC, promptsales_reader, promptsales_analyst, promptsales_etl, promptsales_sso, promptsales_admin,
    promptsales_mcp, promptsales_mcp_gate;
REVOKE ALL ON ALL TABLES IN SCHEMA staging, fact
FROM PUBLIC, promptsales_reader, promptsales_analyst, promptsales_etl, promptsales_sso, promptsales_admin,
    promptsales_mcp, promptsales_mcp_gate;
REVOKE ALL ON ALL ROUTINES IN SCHEMA staging
FROM PUBLIC, promptsales_reader, promptsales_analyst, promptsales_etl, promptsales_sso, promptsales_admin,
    promptsales_mcp, promptsales_mcp_gate;
GRANT USAGE ON SCHEMA staging, fact TO promptsales_etl;
GRANT SELECT ON ALL TABLES IN SCHEMA staging TO promptsales_etl;
GRANT INSERT, UPDATE, DELETE, TRUNCATE ON
    staging.source_window, staging.campaign, staging.ad, staging.metric_day, staging.client, staging.sale, staging.interaction,
    staging.content, staging.content_read, staging.activity, staging.activity_read, staging.moved, staging.metric_touched,
    staging.campaign_part, staging.client_part, staging.content_part
TO promptsales_etl;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA fact TO promptsales_etl;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA staging TO promptsales_etl;

-- The issuer of sessions touches no table.
GRANT EXECUTE ON FUNCTION
    begin_login(text, int, interval), end_login(uuid), open_session(uuid, bytea, interval, interval), touch_session(bytea),
    refresh_session(bytea, bytea, interval), revoke_session(bytea), register_client(text, text, text[], text, text, bytea, int),
    client_of(text), keep_code(bytea, uuid, text, text, boolean, text, text, text, interval), code_of(bytea),
    use_code(bytea, bytea, interval, interval), grant_of(bytea), session_caller(uuid), end_session(uuid)
TO promptsales_sso;
GRANT EXECUTE ON FUNCTION revoke_all(uuid), purge_sessions(interval) TO promptsales_sso, promptsales_admin;

-- Whose session this is may be asked by all who are shown one.
GRANT EXECUTE ON FUNCTION session_identity(bytea), roles_of(uuid)
TO promptsales_reader, promptsales_analyst, promptsales_sso, promptsales_admin, promptsales_mcp_gate;
GRANT EXECUTE ON FUNCTION session_caller(uuid) TO promptsales_mcp_gate;

-- PromptSales's MCP server reads what its tools show: sums and the ETL's state, neither clients nor identities.
GRANT SELECT ON campaign, campaign_month, month_board, content_reach, etl_state, etl_log TO promptsales_mcp;
GRANT SELECT (source, updated_at) ON etl_watermark TO promptsales_mcp;

-- What stands before all MCP servers asks whose session it is, and adds to the AI log.
GRANT EXECUTE ON FUNCTION ai_log_append(
    text, text, text, text, text, text, text, text, jsonb, text, bigint, numeric, bytea, text
) TO promptsales_mcp_gate;

-- The admin keeps plans, campaigns and identities; sees neither password nor token hashes, and does not write the audit log.
GRANT SELECT, INSERT, UPDATE, DELETE ON plan, role_of_identity TO promptsales_admin;
GRANT SELECT, UPDATE ON campaign TO promptsales_admin;
GRANT SELECT ON client, application_role, audit_log, etl_watermark, etl_run, etl_quarantine TO promptsales_admin;
GRANT SELECT (id, email, display_name, failed_attempts, locked_until, disabled_at, created_at) ON identity TO promptsales_admin;
GRANT INSERT (email, display_name, password_hash) ON identity TO promptsales_admin;
GRANT UPDATE (email, display_name, password_hash, failed_attempts, locked_until, disabled_at) ON identity TO promptsales_admin;
GRANT SELECT (
    id, chain_id, identity_id, created_at, expires_at, chain_expires_at, last_seen_at, refreshed_at, revoked_at
) ON sso_session TO promptsales_admin;
GRANT SELECT ON ai_log, ai_log_head TO promptsales_admin;
GRANT EXECUTE ON FUNCTION ai_log_verify(bigint, bigint) TO promptsales_admin;
GRANT EXECUTE ON PROCEDURE close_finished_campaigns(date, int) TO promptsales_admin;
