"""For Locust: ``locust -f harness/load/locustfile.py [--scenario scenarios/load/day.yaml]``. See docs/load.md."""

from __future__ import annotations

from harness.load.within import prepare

globals().update(prepare())
