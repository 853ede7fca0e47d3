"""A specification of two permutations, and what is expected of it, for the tests of both doors."""

from __future__ import annotations

from pathlib import Path

TWO = """
setup { CREATE TABLE t (v int); INSERT INTO t VALUES (10); }
teardown { DROP TABLE t; }
session s1 step r1 { SELECT v FROM t; }
session s2 step w2 { UPDATE t SET v = 11; }
"""
"""Without a permutation: both are run."""

TWO_OUT = """Parsed test spec with 2 sessions

starting permutation: r1 w2
step r1: SELECT v FROM t;
 v
--
10
(1 row)

step w2: UPDATE t SET v = 11;

starting permutation: w2 r1
step w2: UPDATE t SET v = 11;
step r1: SELECT v FROM t;
 v
--
11
(1 row)

"""


def spec(folder: Path, name: str, text: str = TWO, out: str | None = TWO_OUT) -> Path:
    """A specification and what is expected of it, in folders as PostgreSQL has them."""
    for one in ("specs", "expected"):
        (folder / one).mkdir(parents=True, exist_ok=True)
    file = folder / "specs" / f"{name}.spec"
    file.write_text(text, "utf-8")
    if out is not None:
        (folder / "expected" / f"{name}.out").write_text(out, "utf-8")
    return file
