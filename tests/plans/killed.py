"""A bench that is killed in the middle: ``python killed.py ENGINE URL RUN`` says "in" when it is there, and waits."""

from __future__ import annotations

import sys
import threading

from harness.engines import engine
from harness.engines.plans_base import Change, Planning

kind = engine(sys.argv[1])
assert isinstance(kind, Planning)
bench = kind.bench(sys.argv[2], sys.argv[3], disposable=False)
if sys.argv[1] == "mongodb":
    made = {"createIndexes": "t", "indexes": [{"name": "mine", "key": {"w": 1}}]}
    bench.prepare((), Change(("by_v",)), Change((), (made,)))
else:
    bench.prepare((), Change(("ix_t_v",)), Change((), ("CREATE INDEX ix_mine ON t (v, w)",)))
with bench.state(0):
    print("in", flush=True)
    threading.Event().wait()
