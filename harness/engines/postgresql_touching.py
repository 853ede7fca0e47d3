"""What a PostgreSQL session's open transaction has touched, and what hangs on its tables: ``pg_locks`` and the
catalog.

A relation stays locked from a statement's first look at it to the end of the transaction, read or written, named or
not: so the lock table tells of views, triggers, foreign keys and functions, too (manual, *Explicit Locking*;
predicate locks, SIREAD, are shown there as well). What a block with EXCEPTION has locked and rolled back is not seen
any more.
"""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from harness.engines.touching import Catalog, Relation, Routine, Touch
from harness.errors import EngineError

Connection = psycopg.Connection[tuple[Any, ...]]

TOUCHED: LiteralString = """
SELECT l.locktype, l.mode, replace(lower(coalesce(t.oid, c.oid)::regclass::text), '"', ''), coalesce(t.relkind, c.relkind),
       coalesce(t.oid, c.oid) < 16384, coalesce(t.relpersistence, c.relpersistence) = 't'
FROM pg_locks l
LEFT JOIN pg_class c ON c.oid = l.relation
LEFT JOIN pg_index i ON i.indexrelid = l.relation
LEFT JOIN pg_class t ON t.oid = i.indrelid
WHERE l.pid = $1::int AND l.granted AND l.locktype NOT IN ('virtualxid', 'transactionid', 'extend')
"""

RELATIONS: LiteralString = """
SELECT replace(lower(c.oid::regclass::text), '"', ''), c.relkind,
  ARRAY(SELECT lower(a.attname) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(number, place)
        JOIN pg_attribute a ON a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid ORDER BY k.place),
  ARRAY(SELECT lower(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum),
  ARRAY(SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
  ARRAY(SELECT lower(a.attname) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND (
          EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
                  AND NOT i.indisprimary AND (a.attnum = ANY(i.indkey) OR 0 = ANY(i.indkey) OR i.indpred IS NOT NULL))
          OR EXISTS (SELECT FROM pg_constraint o WHERE o.conrelid = c.oid AND o.contype IN ('x', 'f')
                     AND (a.attnum = ANY(o.conkey) OR 0 = ANY(o.conkey)))
          OR EXISTS (SELECT FROM pg_constraint o WHERE o.confrelid = c.oid AND o.contype = 'f' AND a.attnum =
          ANY(o.confkey))
          OR EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attgenerated <> '' AND (
            EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
                    AND (g.attnum = ANY(i.indkey) OR 0 = ANY(i.indkey) OR i.indpred IS NOT NULL))
            OR EXISTS (SELECT FROM pg_constraint o WHERE o.contype = 'f' AND (
                         o.conrelid = c.oid AND g.attnum = ANY(o.conkey)
                         OR o.confrelid = c.oid AND g.attnum = ANY(o.confkey))))))),
  ARRAY(SELECT DISTINCT replace(lower(o.confrelid::regclass::text), '"', '') FROM pg_constraint o
        WHERE o.conrelid = c.oid AND o.contype = 'f'),
  ARRAY(SELECT DISTINCT replace(lower(o.conrelid::regclass::text), '"', '') FROM pg_constraint o
        WHERE o.confrelid = c.oid AND o.contype = 'f'),
  ARRAY(SELECT t.tgtype::text || ' ' || lower(p.proname) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        UNION SELECT '4 ' || lower(p.proname) FROM pg_attrdef f
        JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated = ''
        JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_proc'::regclass
        JOIN pg_proc p ON p.oid = d.refobjid WHERE f.adrelid = c.oid AND p.oid >= 16384),
  EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity <> '')
    OR EXISTS (SELECT FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
               WHERE d.adrelid = c.oid AND a.attgenerated = '' AND pg_get_expr(d.adbin, d.adrelid) ~ '[(]'),
  ARRAY(SELECT lower(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity = 'a'),
  (c.relhasrules AND c.relkind <> 'v') OR c.relrowsecurity OR c.relispartition OR c.relkind = 'p'
    OR EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid OR h.inhparent = c.oid)
    OR EXISTS (SELECT FROM pg_attribute a JOIN pg_collation k ON k.oid = a.attcollation
               WHERE a.attrelid = c.oid AND NOT k.collisdeterministic),
  ARRAY(SELECT DISTINCT lower(p.proname) FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid
        WHERE d.refclassid = 'pg_proc'::regclass AND p.oid >= 16384 AND (d.classid, d.objid) IN (
          SELECT 'pg_constraint'::regclass::oid, o.oid FROM pg_constraint o WHERE o.conrelid = c.oid
          UNION SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = c.oid
          UNION SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r WHERE r.ev_class = c.oid
          UNION SELECT 'pg_policy'::regclass, o.oid FROM pg_policy o WHERE o.polrelid = c.oid
          UNION SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid <> p.oid
          UNION SELECT 'pg_attrdef'::regclass, f.oid FROM pg_attrdef f
                JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> ''
                WHERE f.adrelid = c.oid)),
  ARRAY(SELECT DISTINCT replace(lower(d.refobjid::regclass::text), '"', '')
        FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        WHERE r.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid),
  (SELECT max(CASE WHEN t.tginitdeferred THEN 2 ELSE 1 END) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgdeferrable)
FROM pg_class c
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
"""

ROUTINES: LiteralString = """
SELECT lower(p.proname), l.lanname, CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE pg_get_functiondef(p.oid) END,
  NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'),
  p.proname !~ '^\\w+$' OR EXISTS (
    SELECT FROM pg_depend d LEFT JOIN pg_constraint o ON d.classid = 'pg_constraint'::regclass AND o.oid = d.objid
    WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
    AND (o.contypid <> 0 OR d.classid IN ('pg_operator'::regclass, 'pg_cast'::regclass, 'pg_amproc'::regclass,
                                          'pg_opclass'::regclass, 'pg_type'::regclass)))
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384
"""

SEQUENCES: LiteralString = """
SELECT replace(lower(s.oid::regclass::text), '"', ''), replace(lower(t.oid::regclass::text), '"', '')
FROM pg_class s JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
WHERE s.relkind = 'S'
"""

STEADY: LiteralString = """
SELECT lower(proname) FROM pg_proc WHERE oid < 16384 GROUP BY 1 HAVING bool_and(provolatile = 'i' AND prokind = 'f')
"""

_READS = frozenset({"AccessShareLock", "SIReadLock"})
_WRITES = frozenset({"RowShareLock", "RowExclusiveLock"})
_KINDS = {"r": "table", "p": "table", "m": "table", "v": "view", "f": "foreign"}
_LATE = ("", "if asked to", "always")
_EVENTS = {4: "insert", 8: "delete", 16: "update"}  # TRIGGER_TYPE_… of pg_trigger.h


def touched(connection: Connection, pid: str) -> list[Touch]:
    """What the open transaction of a server process holds. Raises EngineError."""
    found: dict[Touch, None] = {}
    for kind, mode, name, relkind, of_system, temporary in _ask(connection, TOUCHED, (pid,)):
        if kind not in ("relation", "tuple", "page"):
            found[Touch(f"{kind} lock", writes=True, unknown=True)] = None  # advisory, object, …
        elif name is None or temporary or relkind == "t":
            continue  # another database's; nobody else's; TOAST: its table is locked, too
        elif mode in _READS | _WRITES and not of_system and relkind != "f":
            found[Touch(name, mode in _WRITES)] = None
        elif kind == "relation":  # the catalog, a foreign table, a lock that stops others
            found[Touch(f"{mode} of {name}", writes=True, unknown=True)] = None
    return list(found)


def catalog(connection: Connection) -> Catalog:
    """The tables, views and routines of the database. Raises EngineError."""
    relations: dict[str, Relation] = {}
    for row in _ask(connection, RELATIONS):
        name, kind, key, columns, types, shared, parents, children, triggers, drawn, always, odd, calls, looks, late = (
            row
        )
        relation = Relation(
            name,
            _KINDS[kind],
            tuple(key),
            dict(zip(columns, types, strict=True)),
            frozenset(shared),
            frozenset(parents),
            frozenset(children),
            tuple(sorted(set(_triggers(triggers)))),
            drawn,
            frozenset(always),
            # Names, of columns or relations, may differ by large letters only.
            odd or bool(calls) or kind in "mf" or name in relations or len(set(columns)) < len(columns),
            frozenset(calls),
            frozenset(looks),
            _LATE[late or 0],
        )
        relations[name] = relation
    routines: dict[str, tuple[Routine, ...]] = {}
    own, unnamed = set[str](), set[str]()
    for name, language, source, is_own, is_unnamed in _ask(connection, ROUTINES):
        routines[name] = (*routines.get(name, ()), Routine(name, language, source))
        if is_own:
            own.add(name)
        if is_own and is_unnamed:
            unnamed.add(name)
    sequences = {str(name): str(table) for name, table in _ask(connection, SEQUENCES)}
    steady = frozenset(str(name) for (name,) in _ask(connection, STEADY)) - own
    return Catalog(relations, routines, sequences, steady, frozenset(own), frozenset(unnamed))


def _triggers(written: list[str]) -> list[tuple[str, str]]:
    made = []
    for one in written:
        bits, _, routine = one.partition(" ")
        made += [(event, routine) for bit, event in _EVENTS.items() if int(bits) & bit]
    return made


def _ask(connection: Connection, question: LiteralString, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(question, values).fetchall()
    except psycopg.Error as error:
        raise EngineError(f"PostgreSQL no longer answers the observer: {' '.join(str(error).split())}") from None
