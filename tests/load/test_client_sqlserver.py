"""pyodbc under gevent, without a SQL Server: against a fake of the driver, whose calls block as pyodbc's do, in C.

What SQL Server itself does is not tested here.
"""

from __future__ import annotations

from load.locusts import in_locust

FAKE = r"""
import types, threading
from harness.engines.sqlserver import driver
blocks = monkey.get_original("time", "sleep")  # as a call of pyodbc does: no greenlet can go on in this thread

class Error(Exception):
    pass

def error(state, text, number=0, by=""):
    return Error(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server]{by}{text} ({number}) (SQLExecDirectW)")

class Cursor:
    def __init__(self, connection):
        self.connection, self.description, self.rowcount, self._rows = connection, None, -1, []
        self._cancelled = threading_event()
    def execute(self, sql, *values):
        connection = self.connection
        assert connection.using is None, "two threads at one connection"
        connection.using = threading_ident()
        try:
            said.append((sql, [list(map(str, one)) if isinstance(one, list) else str(one) for one in values]))
            if connection.dead:
                raise error("08S01", "Communication link failure")
            if sql.startswith("WAITFOR"):
                if self._cancelled.wait(float(values[0])):
                    raise error("HY008", "Operation canceled")
            elif sql.startswith("SLEEP"):
                blocks(float(values[0]))
            if sql in failing:
                number, text = failing[sql].pop(0) if failing[sql] else (0, "")
                if number:
                    raise error("40001", text, number, "[SQL Server]")
            if sql.startswith("BEGIN") or "; BEGIN" in sql: connection.open = True
            if sql.startswith(("COMMIT", "IF @@TRANCOUNT")): connection.open = False
            rows = sql.startswith("SELECT")
            self.description, self._rows, self.rowcount = ([("x",)], [(1, "a")], -1) if rows else (None, [], 3)
        finally:
            connection.using = None
        return self
    def fetchall(self):
        return self._rows
    def nextset(self):
        return False
    def cancel(self):
        self._cancelled.set()

class Connection:
    def __init__(self):
        self.using, self.open, self.closed, self.dead = None, False, False, False
        made.append(self)
    def cursor(self):
        return Cursor(self)
    def close(self):
        assert self.using is None, "closed while a call runs"
        self.closed = True
    def add_output_converter(self, *_):
        pass

made, said, failing = [], [], {}
threading_event = monkey.get_original("threading", "Event")
threading_ident = monkey.get_original("threading", "get_ident")
module = types.ModuleType("pyodbc")
module.Error, module.drivers = Error, lambda: ["ODBC Driver 18 for SQL Server"]
module.connect = lambda *_, **__: Connection()
sys.modules["pyodbc"] = module
from harness.load.sqlserver import SQLServerClient
from harness.load.policy import Refused
URL = "mssql://sa:secret@db.example/promptcrm"
"""


def fake(script: str):
    return in_locust(FAKE + script)


def test_a_call_of_half_a_second_holds_nobody_up():
    told = fake(r"""
turns = 0
def others():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.01)
client = SQLServerClient(URL, "psh:x/load")
gevent.spawn(others)
began, before = clock(), turns
client.execute("SLEEP ?", 0.5)
print(json.dumps({"turns": turns - before, "seconds": clock() - began}))
""")
    assert told["seconds"] >= 0.5
    assert told["turns"] >= 10  # they would have had none


def test_without_threads_it_would():
    """That the fake blocks as pyodbc does: called in the loop's own thread, nobody else has a turn."""
    told = fake(r"""
turns = 0
def others():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.01)
gevent.spawn(others)
gevent.sleep(0)
before = turns
Connection().cursor().execute("SLEEP ?", 0.5)
print(json.dumps(turns - before))
""")
    assert told == 0


def test_twenty_users_wait_side_by_side():
    told = fake(r"""
clients = [SQLServerClient(URL, "psh:x/load") for _ in range(20)]
began = clock()
gevent.joinall([gevent.spawn(one.execute, "SLEEP ?", 0.3) for one in clients], raise_error=True)
took = clock() - began
for one in clients:
    one.close()
    one.close()
from harness.load import sqlserver
gevent.sleep(0.05)
print(json.dumps({"seconds": took, "users": sqlserver._users, "closed": all(one.closed for one in made)}))
""")
    assert told["seconds"] < 20 * 0.3 / 3  # relation only: one after the other they would take 6 s
    assert told["users"] == 0
    assert told["closed"]


def test_errors_are_named_and_a_deadlock_undoes_the_transaction():
    told = fake(r"""
client = SQLServerClient(URL, "psh:x/load")
failing["UPDATE"] = [
    (1205, "was deadlocked on lock resources"), (3960, "Snapshot isolation transaction aborted"),
    (1222, "Lock request time out"), (0, "")]
kinds = []
for _ in range(4):
    try:
        client.transaction(lambda one: one.execute("UPDATE"), "snapshot")
        kinds.append("done")
    except Refused as refused:
        kinds.append(refused.record.kind.value)
        client.reset()
        assert not made[0].open
print(json.dumps({"kinds": kinds, "connections": len(made), "first": said[0][0], "rows": client.query("SELECT ?", 5)}))
""")
    assert told["kinds"] == ["deadlock", "serialization failure", "lock timeout", "done"]
    assert told["connections"] == 1
    assert told["first"] == "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION"
    assert told["rows"] == [[1, "a"]]


def test_a_lost_connection_is_made_anew():
    told = fake(r"""
client = SQLServerClient(URL, "psh:x/load")
made[0].dead = True
try:
    client.query("SELECT 1")
except Refused as refused:
    kind = refused.record.kind.value
client.reset()
rows = client.query("SELECT 1")
gevent.sleep(0.05)
print(json.dumps([kind, rows, len(made), made[0].closed, made[1].closed]))
""")
    assert told == ["connection lost", [[1, "a"]], 2, True, False]


def test_a_user_that_is_ended_while_its_call_runs_leaves_nothing():
    """The call is cancelled on the server, and the connection closed when its thread is back, not before."""
    told = fake(r"""
client = SQLServerClient(URL, "psh:x/load")
began = clock()
running = gevent.spawn(client.execute, "WAITFOR ?", 30)
while made[0].using is None:
    gevent.sleep(0.01)
running.kill()
client.close()
with gevent.Timeout(10):
    while not made[0].closed:
        gevent.sleep(0.01)
print(json.dumps({"dead": running.dead, "waited": clock() - began}))
""")
    assert told["dead"]
    assert told["waited"] < 30


def test_a_user_of_promptcrm_registers_sales_by_tables():
    told = fake(r"""
from datetime import date
from harness.load.users.promptcrm import _tables, _columns, _REGISTER
sales, lines = [(1, 7, date(2026, 1, 16))], [(1, 1, 3, 2), (1, 2, 4, 1)]
client = SQLServerClient(URL, "psh:x/load")
client.query(_REGISTER["sqlserver"], *_tables(sales, lines))
print(json.dumps([said[-1], _columns(sales, lines)]))
""")
    (sql, (sales, lines)), columns = told
    assert sql == "EXEC dbo.register_sales @sales = ?, @lines = ?"
    assert sales == ["sale_row", "dbo", "(1, 7, None, None, datetime.date(2026, 1, 16))"]
    assert lines == ["sale_line_row", "dbo", "(1, 1, 3, 2, None)", "(1, 2, 4, 1, None)"]
    assert columns == ["{1}", "{7}", "{2026-01-16}", "{1,1}", "{1,2}", "{3,4}", "{2,1}"]
