"""Users of PromptCrm: they register sales, open clients' cards, look for clients nearby."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from locust import tag, task

from harness.load.users.base import PromptUser

_FIRST = date(2026, 1, 16)  # the day after the seeded ones end
_KM = 25.0
_PLACES = 20

_REGISTER = {
    # Rows of the types that the function takes, made of columns: a driver needs to know neither type.
    "postgresql": """
        SELECT row_no, sale_id, total FROM register_sales(
            ARRAY(
                SELECT ROW(s.row_no, s.client_id, NULL, NULL, s.sold_on)::sale_row
                FROM unnest($1::int[], $2::int[], $3::date[]) AS s (row_no, client_id, sold_on)
            ),
            ARRAY(
                SELECT ROW(l.row_no, l.line_no, l.product_id, l.quantity, NULL)::sale_line_row
                FROM unnest($4::int[], $5::smallint[], $6::int[], $7::int[]) AS l (row_no, line_no, product_id, quantity)
            )
        )""",
    "sqlserver": "EXEC dbo.register_sales @sales = ?, @lines = ?",
}
_CARD = {
    "postgresql": """
        SELECT c.name, c.kind, ci.name, c.credit, c.created_on, s.sales, s.total
        FROM client AS c
        INNER JOIN city AS ci ON c.city_id = ci.id
        CROSS JOIN LATERAL (
            SELECT COUNT(*) AS sales, COALESCE(SUM(total), 0) AS total
            FROM sale
            WHERE client_id = c.id AND status <> 'cancelled'
        ) AS s
        WHERE c.id = $1""",
    "sqlserver": """
        SELECT c.name, c.kind, ci.name, c.credit, c.created_on, s.sales, s.total
        FROM dbo.client AS c
        INNER JOIN dbo.city AS ci ON c.city_id = ci.id
        CROSS APPLY (
            SELECT COUNT(*) AS sales, COALESCE(SUM(total), 0) AS total
            FROM dbo.sale
            WHERE client_id = c.id AND status <> 'cancelled'
        ) AS s
        WHERE c.id = ?""",
}


class Seller(PromptUser):
    """Sells."""

    logical = "promptcrm"

    def learn(self) -> None:
        """Clients, products, cities."""
        self.clients = self.ids("client", lambda: self.column("SELECT id FROM client"))
        self.products = self.ids("product", lambda: self.column("SELECT id FROM product"))
        self.cities = self.ids("city", lambda: self.column("SELECT id FROM city"))
        self._near = self.statement("clients_near")
        self._where: dict[int, tuple[float, float]] = {}

    @tag("write")
    @task(4)
    def register_sale(self) -> None:
        """One to three sales of one to four lines, by the stored procedure."""
        sales = [
            (row, self.clients.one(), _FIRST + timedelta(days=random.randrange(14)))
            for row in range(1, random.choice((1, 1, 1, 2, 3)) + 1)
        ]
        lines = [
            (row, line, self.products.one(), random.randint(1, 5))
            for row, _, _ in sales
            for line in range(1, random.randint(1, 4) + 1)
        ]
        sql = self.own(_REGISTER)
        values = _columns(sales, lines) if self.target.engine == "postgresql" else _tables(sales, lines)
        self.request("register sale", lambda client: client.query(sql, *values))

    @tag("read")
    @task(5)
    def client_card(self) -> None:
        """A client's name, place, credit and sales."""
        client_id = self.clients.one()
        self.request("client card", lambda client: client.query(self.own(_CARD), client_id))

    @tag("read")
    @task(1)
    def clients_near(self) -> None:
        """The clients around a city, the nearest first."""
        place = self._place(self.cities.one())
        if place is not None:
            asked = self._near
            values = asked.values(latitude=place[0], longitude=place[1], km=_KM, places=_PLACES)
            self.request("clients near", lambda client: client.query(asked.sql, *values))

    def _place(self, city: int) -> tuple[float, float] | None:
        """Where a city is: asked once for each, and counted as what it is."""
        if city not in self._where:
            sql = (
                f"SELECT latitude, longitude FROM city WHERE id = {'$1' if self.target.engine == 'postgresql' else '?'}"  # noqa: S608
            )
            rows = self.request("city", lambda client: client.query(sql, city))
            if not rows:
                return None
            self._where[city] = (float(rows[0][0]), float(rows[0][1]))
        return self._where[city]


Sales = list[tuple[int, int, date]]
Lines = list[tuple[int, int, int, int]]


def _columns(sales: Sales, lines: Lines) -> list[Any]:
    """As PostgreSQL gets them: an array for each column, written as text."""
    return ["{" + ",".join(map(str, column)) + "}" for column in (*zip(*sales, strict=True), *zip(*lines, strict=True))]


def _tables(sales: Sales, lines: Lines) -> list[Any]:
    """As SQL Server gets them: table-valued parameters, the names of type and schema before the rows."""
    return [
        ["sale_row", "dbo", *((row, client, None, None, day) for row, client, day in sales)],
        ["sale_line_row", "dbo", *((row, line, product, quantity, None) for row, line, product, quantity in lines)],
    ]
