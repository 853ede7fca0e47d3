"""PromptCrm's queries, each with an answer that is known: of the sample's rows, or of rows that the test adds."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from tds import ask, run

from fixtures.databases import Database
from harness.promptsales.queries import find

pytestmark = pytest.mark.queries

CLIENT = "INSERT INTO client (id, code, name, kind, city_id, latitude, longitude, referred_by, created_on) VALUES "


def clients(database: Database, *rows: tuple[int, float, float, int | None]) -> None:
    """Add clients: id, latitude, longitude, by whom referred."""
    run(
        database,
        CLIENT
        + ", ".join(
            f"({id}, 'T-{id}', 'Client {id}', 'person', 1, {latitude}, {longitude}, {by or 'NULL'}, '2026-01-01')"
            for id, latitude, longitude, by in rows
        ),
    )


def test_clients_above_average_cte(crm_sql: Database) -> None:
    assert ask(crm_sql, "clients_above_average") == []  # only one of the three has bought
    run(
        crm_sql,
        "INSERT INTO sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total) VALUES "
        "(4, 2, 1, NULL, '2026-05-01', 'open', 100), (5, 3, 1, NULL, '2026-07-01', 'open', 5)",
    )
    assert ask(crm_sql, "clients_above_average") == [(1, "Ana Mora", "CR", Decimal("360.00"))]
    run(
        crm_sql,
        "INSERT INTO sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total) VALUES "
        "(6, 2, 1, NULL, '2026-05-01', 'cancelled', 9000)",
    )
    assert [row[0] for row in ask(crm_sql, "clients_above_average")] == [1]


def test_referral_chain_recursive_cte(crm_sql: Database) -> None:
    assert ask(crm_sql, "referral_chain", client_id=1, depth=5) == [
        (1, "Ana Mora", 0, "/1/"),
        (2, "Cafe Norte", 1, "/1/2/"),
        (3, "Luis Vega", 2, "/1/2/3/"),
    ]
    assert [row[0] for row in ask(crm_sql, "referral_chain", client_id=1, depth=1)] == [1, 2]
    assert [row[0] for row in ask(crm_sql, "referral_chain", client_id=3, depth=5)] == [3]
    assert ask(crm_sql, "referral_chain", client_id=9, depth=5) == []


def test_a_referral_chain_branches(crm_sql: Database) -> None:
    clients(crm_sql, (12, 0, 0, 1), (13, 0, 0, 12), (123, 0, 0, 12))
    rows = ask(crm_sql, "referral_chain", client_id=1, depth=9)
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (1, 0, "/1/"),
        (2, 1, "/1/2/"),
        (12, 1, "/1/12/"),
        (3, 2, "/1/2/3/"),
        (13, 2, "/1/12/13/"),
        (123, 2, "/1/12/123/"),
    ]


def test_a_referral_ring_ends(crm_sql: Database) -> None:
    run(crm_sql, "UPDATE client SET referred_by = 3 WHERE id = 1")
    rows = ask(crm_sql, "referral_chain", client_id=2, depth=1000)
    assert [(row[0], row[2]) for row in rows] == [(2, 0), (3, 1), (1, 2)]
    run(crm_sql, "UPDATE client SET referred_by = 1 WHERE id = 1")
    assert [row[0] for row in ask(crm_sql, "referral_chain", client_id=1, depth=1000)] == [1, 2, 3]


def test_a_referral_chain_may_be_deeper_than_a_hundred(crm_sql: Database) -> None:
    clients(crm_sql, *((id, 0.0, 0.0, id - 1 if id > 100 else None) for id in range(100, 251)))
    assert ask(crm_sql, "referral_chain", client_id=100, depth=1000)[-1][:3] == (250, "Client 250", 150)


def test_revenue_growth_partition_by(crm_sql: Database) -> None:
    run(
        crm_sql,
        "INSERT INTO sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total) VALUES "
        "(4, 1, 1, NULL, '2026-03-31', 'closed', 11), "
        "(5, 1, 1, NULL, '2026-05-01', 'cancelled', 99), "
        "(6, 2, 1, NULL, '2026-05-01', 'open', 7), (7, 3, 1, NULL, '2026-07-01', 'open', 8)",
    )
    rows = ask(crm_sql, "revenue_growth", client_first=1, client_last=2)
    assert [(client, str(month)[:10], revenue, so_far) for client, month, revenue, so_far in rows] == [
        (1, "2026-03-01", 111, 111),
        (1, "2026-04-01", 60, 171),
        (1, "2026-06-01", 200, 371),
        (2, "2026-05-01", 7, 7),
    ]


def test_best_clients_rank(crm_sql: Database) -> None:
    clients(crm_sql, (4, 0, 0, None), (5, 0, 0, None))
    run(
        crm_sql,
        "INSERT INTO sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total) VALUES "
        "(4, 2, 1, NULL, '2026-06-01', 'open', 360), (5, 4, 1, NULL, '2026-06-01', 'open', 100), "
        "(6, 3, 1, NULL, '2026-06-30', 'open', 5), (7, 5, 1, NULL, '2026-06-30', 'open', 20), "
        "(8, 5, 1, NULL, '2026-07-01', 'open', 5000), (9, 5, 1, NULL, '2026-06-30', 'cancelled', 5000)",
    )
    year = {"day_first": date(2026, 1, 1), "day_last": date(2026, 6, 30)}
    assert ask(crm_sql, "best_clients", **year, places=3) == [
        ("CR", 1, 1, "Ana Mora", 360),
        ("CR", 1, 2, "Cafe Norte", 360),  # as good as the first: no second place
        ("CR", 3, 4, "Client 4", 100),
        ("MX", 1, 3, "Luis Vega", 5),
    ]
    assert [row[2] for row in ask(crm_sql, "best_clients", **year, places=2)] == [1, 2, 3]


PLACES = {
    11: ("Madrid", 40.4168, -3.7038),
    12: ("Buenos Aires", -34.6037, -58.3816),
    13: ("Sydney", -33.8688, 151.2093),
    14: ("Tokyo", 35.6762, 139.6503),
    15: ("London", 51.5074, -0.1278),
    16: ("New York", 40.7128, -74.0060),
    17: ("Suva", -18.1416, 178.4419),
    18: ("Apia", -13.8333, -171.7667),
}


@pytest.mark.parametrize(
    ("city_1", "city_2", "km"),
    [
        # Geodesics on the WGS 84 ellipsoid.
        (1, 2, 1929.46),
        (11, 12, 10020.32),
        (13, 14, 7792.17),
        (15, 16, 5585.23),
        (16, 15, 5585.23),
        (17, 18, 1151.05),  # over the 180th meridian
        (15, 15, 0),
    ],
)
def test_city_distance(crm_sql: Database, city_1: int, city_2: int, km: float) -> None:
    for id, (name, latitude, longitude) in PLACES.items():
        if id in (city_1, city_2):
            run(
                crm_sql,
                "INSERT INTO city (id, name, country, latitude, longitude, population) VALUES "
                f"({id}, '{name}', 'XX', {latitude}, {longitude}, 1)",
            )
    ((_, _, found),) = ask(crm_sql, "city_distance", city_1=city_1, city_2=city_2)
    assert found == pytest.approx(km, rel=0.005, abs=1e-6)


def test_clients_near(crm_sql: Database) -> None:
    san_jose = {"latitude": 9.9281, "longitude": -84.0907, "places": 10}
    rows = ask(crm_sql, "clients_near", **san_jose, km=10)
    assert [row[:2] for row in rows] == [(1, "Ana Mora"), (2, "Cafe Norte")]
    assert rows[0][2] == pytest.approx(0, abs=1e-6)
    assert rows[1][2] == pytest.approx(8.243, rel=0.006)
    assert [row[0] for row in ask(crm_sql, "clients_near", **san_jose, km=8)] == [1]
    assert [row[0] for row in ask(crm_sql, "clients_near", **san_jose, km=1940)] == [1, 2, 3]
    assert [row[0] for row in ask(crm_sql, "clients_near", **san_jose | {"places": 1}, km=1940)] == [1]


@pytest.mark.parametrize(
    ("latitude", "longitude", "km", "ids"),
    [
        (-17.0, -179.95, 30, [21, 22]),  # on both sides of the 180th meridian
        (89.9, 90.0, 25, [23, 24]),  # on both sides of the pole
        (-90.0, 0.0, 150, [25]),
        (0.0, 0.0, 20100, [1, 2, 3, 21, 22, 23, 24, 25]),  # half of the equator: the whole globe
    ],
)
def test_clients_near_where_the_map_ends(
    crm_sql: Database, latitude: float, longitude: float, km: float, ids: list[int]
) -> None:
    clients(
        crm_sql, (21, -17.0, -179.9, None), (22, -17.1, 179.95, None), (23, 89.95, 90.0, None), (24, 89.95, -90.0, None)
    )
    clients(crm_sql, (25, -89.0, 120.0, None), (26, -88.0, 120.0, None))
    rows = ask(crm_sql, "clients_near", latitude=latitude, longitude=longitude, km=km, places=100)
    found = {row[0] for row in rows}
    assert found == (set(ids) | {26} if km > 20000 else set(ids))


@pytest.mark.data("sample")
def test_clients_near_misses_nobody_and_uses_the_index(promptcrm_db: Database) -> None:
    connection = promptcrm_db.connect()
    if promptcrm_db.engine != "postgresql":
        pytest.skip("PostgreSQL's function distance_km and EXPLAIN are asked")
    connection.execute("SELECT setseed(0.5)")
    connection.execute(
        "INSERT INTO client (id, code, name, kind, city_id, latitude, longitude, created_on) "
        "SELECT id, 'T-' || id, 'Client', 'person', 1, random() * 180 - 90, random() * 360 - 180, '2026-01-01' "
        "FROM generate_series(1000, 6000) AS id"
    )
    connection.execute("ANALYZE client")
    found = 0
    for number in range(40):
        point = {
            "latitude": (number * 37) % 181 - 90.0,
            "longitude": (number * 73) % 361 - 180.0,
            "km": 200.0 + 40 * number,
        }
        near = [row[0] for row in ask(promptcrm_db, "clients_near", connection, **point, places=9999)]
        everyone = connection.execute(
            "SELECT id FROM client WHERE distance_km(latitude, longitude, %(latitude)s, %(longitude)s) <= %(km)s "
            "ORDER BY distance_km(latitude, longitude, %(latitude)s, %(longitude)s), id",
            point,
        ).fetchall()
        assert near == [row[0] for row in everyone], point
        found += len(near)
    assert found > 1000
    sql, values = find("promptcrm", "postgresql", "clients_near").bind(latitude=10, longitude=10, km=50, places=3)
    plan = connection.execute("EXPLAIN " + sql, values).fetchall()
    assert "ix_client_place" in str(plan)
