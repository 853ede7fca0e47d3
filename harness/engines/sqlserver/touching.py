"""What a SQL Server session's open transaction has touched: ``sys.dm_tran_locks``, by the objects that locks are on.

A transaction keeps the locks of what it changes to its end, and below REPEATABLE READ gives back those of what it
reads: reads are seen only where they are kept (REPEATABLE READ, SERIALIZABLE, hints). Under row versions (SNAPSHOT,
RCSI) they lock nothing.
https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-tran-locks-transact-sql
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.engines.touching import Touch

TOUCHED = """
SELECT l.resource_type, l.request_mode, COALESCE(o.name, p.name)
FROM sys.dm_tran_locks AS l
LEFT JOIN sys.objects AS o ON l.resource_type = N'OBJECT' AND o.object_id = l.resource_associated_entity_id
LEFT JOIN sys.partitions AS h ON l.resource_type IN (N'KEY', N'RID', N'PAGE', N'HOBT')
  AND h.hobt_id = l.resource_associated_entity_id
LEFT JOIN sys.objects AS p ON p.object_id = h.object_id
WHERE l.request_session_id = ? AND l.request_status = N'GRANT'
  AND l.resource_type <> N'DATABASE' AND l.resource_database_id = DB_ID()
"""

_READS = frozenset({"IS", "S", "RangeS-S"})
_STOPS = frozenset({"Sch-M", "BU"})


def touches(rows: Iterable[tuple[Any, ...]]) -> list[Touch]:
    """Rows of (resource type, mode, object's name) as what was touched; the locks of plans being made (Sch-S) are
    none."""
    found: dict[Touch, None] = {}
    for kind, mode, name in rows:
        if mode == "Sch-S":
            continue
        if name is None or mode in _STOPS:
            found[Touch(f"{mode} lock of {kind} {name or ''}".rstrip(), writes=True, unknown=True)] = None
        else:
            found[Touch(str(name).lower(), mode not in _READS)] = None
    return list(found)
