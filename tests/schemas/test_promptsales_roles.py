"""The roles of PromptSales: what each may is done, what it may not is denied."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import psycopg
import pytest

from fixtures.giving import Giving

ROLES = (
    "promptsales_reader",
    "promptsales_analyst",
    "promptsales_etl",
    "promptsales_sso",
    "promptsales_admin",
    "promptsales_mcp",
    "promptsales_mcp_gate",
)
FILE = Path(__file__).parents[2] / "schemas/promptsales/postgresql/server/10_roles.sql"

R, RI, RIU, RIUD, RU = "SELECT", "SELECT INSERT", "SELECT INSERT UPDATE", "SELECT INSERT UPDATE DELETE", "SELECT UPDATE"
BOARDS = dict.fromkeys(
    (
        "plan",
        "content",
        "month_summary",
        "month_board",
        "campaign_performance",
        "content_reach",
        "etl_state",
        "etl_log",
    ),
    R,
)
SUMMARIES = dict.fromkeys(("campaign", "campaign_month", "client_month", "content_month", "client_value"), R)
JUDGED = ("campaign", "ad", "metric_day", "client", "sale", "interaction", "content_read", "activity_read")
STAGED = (
    *JUDGED,
    *(
        "source_window",
        "content",
        "activity",
        "moved",
        "metric_touched",
        "campaign_part",
        "client_part",
        "content_part",
    ),
)
MAY = {
    "promptsales_reader": BOARDS,
    "promptsales_analyst": BOARDS | SUMMARIES,
    "promptsales_etl": dict.fromkeys(
        ("campaign", "content", "client", "campaign_month", "client_month", "content_month"), RIUD
    )
    | dict.fromkeys(("etl_run", "etl_quarantine"), RIU)
    | {"etl_watermark": RIUD}
    | dict.fromkeys(("month_summary", "etl_state", "etl_log"), R)
    | dict.fromkeys(("fact.ad", "fact.metric_day", "fact.sale", "fact.interaction"), RIUD)
    | {f"staging.{name}": f"{RIUD} TRUNCATE" for name in STAGED}
    | {f"staging.{name}_judged": R for name in JUDGED},
    "promptsales_sso": {},
    "promptsales_admin": BOARDS
    | SUMMARIES
    | dict.fromkeys(("client", "application_role", "audit_log", "etl_watermark", "etl_run", "etl_quarantine"), R)
    | dict.fromkeys(("ai_log", "ai_log_head"), R)
    | {"plan": RIUD, "role_of_identity": RIUD, "campaign": RU},
    "promptsales_mcp": dict.fromkeys(
        ("campaign", "campaign_month", "month_board", "content_reach", "etl_state", "etl_log"), R
    ),
    "promptsales_mcp_gate": {},
}
"""Every right on a whole table or view that there is; some have rights on columns besides: see below."""

COLUMNS = {
    "promptsales_admin": {"identity", "sso_session"},
    "promptsales_mcp": {"etl_watermark"},
}
"""Of which tables a role may see or write some columns only."""

SESSIONS = "session_identity roles_of"
CALLS = {
    "promptsales_reader": SESSIONS,
    "promptsales_analyst": SESSIONS,
    "promptsales_etl": "rebuild_month_summary etl_due etl_begin etl_window etl_merge etl_fail etl_forget",
    "promptsales_sso": f"{SESSIONS} begin_login end_login open_session touch_session refresh_session revoke_session "
    "revoke_all purge_sessions register_client client_of keep_code code_of use_code grant_of session_caller end_session",
    "promptsales_admin": f"{SESSIONS} revoke_all purge_sessions rebuild_month_summary close_finished_campaigns "
    "ai_log_verify",
    "promptsales_mcp": "",
    "promptsales_mcp_gate": f"{SESSIONS} session_caller ai_log_append",
}


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_these_rights_and_no_other(connection, role):
    granted = connection.execute(
        "SELECT CASE c.relnamespace WHEN 'public'::regnamespace THEN c.relname "
        "ELSE c.relnamespace::regnamespace || '.' || c.relname END, p FROM pg_class AS c, "
        "unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p "
        "WHERE c.relnamespace::regnamespace::text IN ('public', 'staging', 'fact') AND c.relkind IN ('r', 'v', 'm', 'p') "
        "AND has_table_privilege(%s, c.oid, p)",
        [role],
    ).fetchall()
    assert set(granted) == {(table, right) for table, rights in MAY[role].items() for right in rights.split()}
    some = connection.execute(
        "SELECT relname FROM pg_class AS c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS p WHERE c.relkind IN ('r', 'v') "
        "AND c.relnamespace::regnamespace::text IN ('public', 'staging', 'fact') "
        "AND has_any_column_privilege(%s, c.oid, p) AND NOT has_table_privilege(%s, c.oid, p)",
        [role, role],
    ).fetchall()
    assert {name for (name,) in some} == COLUMNS.get(role, set())
    called = connection.execute(
        "SELECT proname FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace AND has_function_privilege(%s, oid, 'EXECUTE')",
        [role],
    ).fetchall()
    assert {name for (name,) in called} == set(CALLS[role].split())
    schemas = connection.execute(
        "SELECT nspname, has_schema_privilege(%s, oid, 'CREATE') FROM pg_namespace "
        "WHERE nspname IN ('public', 'staging', 'fact') AND has_schema_privilege(%s, oid, 'USAGE')",
        [role, role],
    ).fetchall()
    assert dict(schemas) == {"public": False} | ({"staging": False, "fact": False} if role == "promptsales_etl" else {})
    inside = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE has_function_privilege(%s, oid, 'EXECUTE')) FROM pg_proc "
        "WHERE pronamespace = 'staging'::regnamespace",
        [role],
    ).fetchone()
    assert inside[1] == (inside[0] if role == "promptsales_etl" else 0)


def test_nobody_in_particular_may_do_nothing(connection):
    for kind, column, catalog in (("relation", "relacl", "pg_class"), ("routine", "proacl", "pg_proc")):
        name = "relname, relnamespace" if kind == "relation" else "proname, pronamespace"
        open_to_all = connection.execute(
            f"SELECT {name} FROM {catalog}, aclexplode(coalesce({column}, acldefault(%s, 10))) AS a WHERE a.grantee = 0 "
            f"AND {name.split(', ')[1]} = 'public'::regnamespace"
            + (" AND relkind IN ('r', 'v')" if kind == "relation" else ""),
            ["r" if kind == "relation" else "f"],
        ).fetchall()
        assert open_to_all == []
    assert not connection.execute("SELECT has_schema_privilege('public', 'public', 'USAGE')").fetchone()[0]


def test_the_roles_are_groups_without_power_that_are_in_no_other(connection):
    rows = connection.execute(
        "SELECT rolname, rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication "
        "FROM pg_roles WHERE rolname = ANY (%s)",
        [list(ROLES)],
    ).fetchall()
    assert dict(rows) == dict.fromkeys(ROLES, False)
    memberships = connection.execute(
        "SELECT count(*) FROM pg_auth_members WHERE member IN (SELECT oid FROM pg_roles WHERE rolname = ANY (%s))",
        [list(ROLES)],
    )
    assert memberships.fetchone() == (0,)


DENIED = [
    *product(
        ("promptsales_reader", "promptsales_analyst", "promptsales_etl", "promptsales_sso"),
        (
            "SELECT * FROM identity",
            "SELECT email FROM identity",
            "SELECT password_hash FROM identity",
            "UPDATE identity SET disabled_at = NULL",
            "SELECT * FROM sso_session",
            "DELETE FROM sso_session",
            "SELECT * FROM role_of_identity",
            "INSERT INTO role_of_identity SELECT gen_random_uuid(), 'admin'",
            "SELECT * FROM application_role",
            "SELECT * FROM audit_log",
            "DELETE FROM audit_log",
            "UPDATE plan SET price = 0",
            "UPDATE month_summary SET cost = 0",
            "DROP TABLE plan",
            "CREATE TABLE mine (id int)",
            "ALTER TABLE campaign_month DISABLE TRIGGER ALL",
            "CALL close_finished_campaigns('2030-01-01')",
            "SELECT without_secrets('{}', '')",
            "SELECT add_to_month_summary(NULL)",
        ),
    ),
    *product(("promptsales_reader", "promptsales_sso"), ("SELECT * FROM client_value", "SELECT * FROM campaign_month")),
    *product(
        ("promptsales_reader", "promptsales_analyst", "promptsales_sso"),
        (
            "SELECT * FROM client",
            "INSERT INTO campaign_month (campaign_id, month) VALUES (1, '2025-01-01')",
            "UPDATE campaign SET budget = 0",
            "DELETE FROM client_month",
            "TRUNCATE campaign_month",
            "SELECT * FROM etl_run",
            "SELECT rebuild_month_summary()",
            "CREATE TABLE staging.mine (id int)",
        ),
    ),
    *product(
        ("promptsales_reader", "promptsales_analyst", "promptsales_etl"),
        (
            "SELECT begin_login('ana@example.com')",
            "SELECT open_session(gen_random_uuid(), '', '1 hour')",
            "SELECT revoke_all(gen_random_uuid())",
            "SELECT purge_sessions('0')",
        ),
    ),
    *product(
        ("promptsales_mcp", "promptsales_mcp_gate"),
        (
            "SELECT * FROM client",
            "SELECT * FROM client_value",
            "SELECT * FROM client_month",
            "SELECT email FROM identity",
            "SELECT * FROM sso_session",
            "SELECT * FROM audit_log",
            "SELECT * FROM ai_log",
            "SELECT * FROM ai_log_head",
            "INSERT INTO ai_log (server) VALUES ('promptads')",
            "UPDATE ai_log SET outcome = 'ok'",
            "DELETE FROM ai_log",
            "TRUNCATE ai_log",
            "UPDATE ai_log_head SET number = 0",
            "ALTER TABLE ai_log DISABLE TRIGGER ALL",
            "SELECT ai_log_verify()",
            "SELECT * FROM etl_quarantine",
            "UPDATE campaign SET budget = 0",
            "SELECT open_session(gen_random_uuid(), '', '1 hour')",
            "SELECT begin_login('ana@example.com')",
            "CREATE TABLE mine (id int)",
        ),
    ),
    *product(
        ("promptsales_mcp",),
        (
            "SELECT * FROM etl_watermark",
            "SELECT upper_bound FROM etl_watermark",
            "SELECT session_identity('')",
            "SELECT ai_log_append('a', 'b', 'c', 's', 'n', 'c', NULL, NULL, '{}', 'ok', 0, 0, NULL, NULL)",
        ),
    ),
    *product(("promptsales_mcp_gate",), ("SELECT * FROM campaign", "SELECT * FROM month_board")),
    *product(
        ("promptsales_etl",),
        (
            "SELECT * FROM plan",
            "SELECT session_identity('')",
            "DELETE FROM etl_run",
            "TRUNCATE client_month",
            "TRUNCATE fact.sale",
            "DROP TABLE staging.campaign",
        ),
    ),
    *product(
        ("promptsales_admin",),
        (
            "SELECT * FROM identity",
            "SELECT password_hash FROM identity",
            "INSERT INTO identity (id, email, display_name) VALUES (gen_random_uuid(), 'a@b', 'A')",
            "DELETE FROM identity",
            "SELECT token_hash FROM sso_session",
            "UPDATE sso_session SET expires_at = now()",
            "DELETE FROM ai_log",
            "TRUNCATE ai_log",
            "UPDATE ai_log_head SET number = 0",
            "INSERT INTO ai_log (server) VALUES ('promptads')",
            "SELECT ai_log_append('a', 'b', 'c', 's', 'n', 'c', NULL, NULL, '{}', 'ok', 0, 0, NULL, NULL)",
            "DELETE FROM audit_log",
            "UPDATE audit_log SET new_values = NULL",
            "TRUNCATE audit_log",
            "INSERT INTO application_role VALUES ('king', 'promptsales_king', 'all')",
            "SELECT open_session(gen_random_uuid(), '', '1 hour')",
            "SELECT begin_login('ana@example.com')",
            "UPDATE month_summary SET cost = 0",
            "DELETE FROM campaign",
            "DROP TABLE plan",
        ),
    ),
]


@pytest.mark.data("sample")
@pytest.mark.parametrize("role", ROLES)
def test_the_denied_role_is_denied(connection, role):
    connection.execute(f"SET ROLE {role}")
    for who, statement in DENIED:
        if who == role:
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                continue
            pytest.fail(f"{role} may: {statement}")


ALLOWED = [
    *product(
        ("promptsales_reader", "promptsales_analyst", "promptsales_admin"),
        (
            "SELECT * FROM month_board",
            "SELECT * FROM campaign_performance",
            "SELECT * FROM content_reach",
            "SELECT * FROM etl_state",
            "SELECT session_identity(decode(repeat('00', 32), 'hex'))",
            "SELECT * FROM roles_of(gen_random_uuid())",
        ),
    ),
    *product(
        ("promptsales_analyst", "promptsales_admin"), ("SELECT * FROM client_value", "SELECT * FROM campaign_month")
    ),
    *product(
        ("promptsales_etl",),
        (
            "INSERT INTO staging.campaign (id) SELECT id FROM campaign",
            "MERGE INTO campaign AS c USING staging.campaign AS s ON c.id = s.id WHEN MATCHED THEN UPDATE SET budget = 2000",
            "INSERT INTO campaign_month AS m (campaign_id, month, cost) VALUES (1, '2025-12-01', 7) "
            "ON CONFLICT (campaign_id, month) DO UPDATE SET cost = m.cost + excluded.cost",
            "DELETE FROM client_month WHERE client_id = 3",
            "INSERT INTO etl_run (source) VALUES ('promptads')",
            "UPDATE etl_run SET status = 'succeeded', finished_at = now(), window_to = '7'",
            "INSERT INTO etl_watermark (source, kind, upper_bound) VALUES ('promptads', 'xid8', '7')",
            "INSERT INTO etl_quarantine (source, key, payload, reason, run_id) "
            "SELECT 'promptads', '1', '{}', 'why', id FROM etl_run",
            "SELECT * FROM month_summary",
            "SELECT rebuild_month_summary()",
            "TRUNCATE staging.campaign",
        ),
    ),
    *product(
        ("promptsales_sso",),
        (
            "SELECT * FROM begin_login('ana@example.com')",
            "SELECT * FROM refresh_session('', '', '1 hour')",
            "SELECT revoke_session('')",
            "SELECT purge_sessions('1 day')",
        ),
    ),
    *product(
        ("promptsales_admin",),
        (
            "INSERT INTO identity (email, display_name, password_hash) VALUES ('ana@example.com', 'Ana', 'scrypt$x')",
            "SELECT id, email, locked_until FROM identity",
            "INSERT INTO role_of_identity SELECT id, 'admin' FROM identity",
            "UPDATE identity SET disabled_at = now(), password_hash = 'scrypt$y' WHERE email = 'ana@example.com'",
            "SELECT id, expires_at FROM sso_session",
            "SELECT revoke_all(id) FROM identity",
            "UPDATE plan SET price = price + 1",
            "UPDATE campaign SET status = 'paused'",
            "CALL close_finished_campaigns('2030-01-01')",
            "SELECT * FROM audit_log",
            "SELECT * FROM etl_run",
            "SELECT * FROM ai_log",
            "SELECT * FROM ai_log_verify()",
        ),
    ),
    *product(
        ("promptsales_mcp",),
        (
            "SELECT * FROM month_board",
            "SELECT * FROM campaign JOIN campaign_month ON campaign_id = id",
            "SELECT * FROM content_reach",
            "SELECT * FROM etl_state",
            "SELECT source, updated_at FROM etl_watermark",
        ),
    ),
    *product(
        ("promptsales_mcp_gate",),
        (
            "SELECT session_identity(decode(repeat('00', 32), 'hex'))",
            "SELECT * FROM roles_of(gen_random_uuid())",
            "SELECT ai_log_append('a', 'b', 'c', 's', 'n', 'c', NULL, NULL, '{}', 'ok', 0, 0, NULL, NULL)",
        ),
    ),
]


@pytest.mark.data("sample")
@pytest.mark.parametrize("role", ROLES)
def test_what_is_allowed_is_done(connection, role):
    connection.execute(f"SET ROLE {role}")
    done = [connection.execute(statement) for who, statement in ALLOWED if who == role]
    assert done


@pytest.fixture
def four(giving: Giving, promptsales_db) -> Iterator[list[str]]:
    """Four databases on one server."""
    if promptsales_db.engine != "postgresql":
        pytest.skip("roles of PostgreSQL")
    with ExitStack() as stack:
        yield [stack.enter_context(giving.database("promptsales", "empty")).url for _ in range(4)]


def test_many_processes_make_the_roles_at_once_and_twice(four):
    """Under names that the server does not have yet; in four databases at once, and in each by two."""
    prefix = f"psh{uuid.uuid4().hex[:12]}_"
    text = FILE.read_text(encoding="utf-8").replace("promptsales_", prefix)
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(url, autocommit=True)) for url in [*four, *four]]
        try:
            for _ in range(2):
                with ThreadPoolExecutor(len(connections)) as pool:
                    list(pool.map(lambda own: own.execute(text), connections))
            for own in connections:
                own.execute(f"SET ROLE {prefix}reader")
                own.execute("SELECT * FROM month_board")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    own.execute("SELECT * FROM identity")
                own.execute("RESET ROLE")
        finally:
            roles = [role.replace("promptsales_", prefix) for role in ROLES]
            for own in connections[:4]:
                own.execute(f"DROP OWNED BY {', '.join(roles)}")
            connections[0].execute(f"DROP ROLE {', '.join(roles)}")


def test_a_right_that_was_given_by_hand_goes_when_the_file_is_applied_again(connection):
    connection.execute(
        "GRANT SELECT ON identity TO promptsales_reader; GRANT EXECUTE ON FUNCTION revoke_all(uuid) TO PUBLIC"
    )
    connection.execute(FILE.read_text(encoding="utf-8"))
    connection.execute("SET ROLE promptsales_reader")
    for statement in ("SELECT * FROM identity", "SELECT revoke_all(gen_random_uuid())"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
