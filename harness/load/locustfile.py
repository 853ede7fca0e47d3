"""For Locust: ``locust -f harness/load/locustfile.py [--scenario scenarios/load/day.yaml]``. See docs/load.md."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Locust puts this folder first on the path, where redis.py is not the one that others mean. It takes the entry away again.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [os.getcwd() if Path(one).resolve() == _HERE else one for one in sys.path]

from harness.load.within import prepare  # noqa: E402

globals().update(prepare())
