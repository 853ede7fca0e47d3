"""Rounds of the ETL, made by code: what the report's tests draw, and what one looks at while drawing.

``python -m tests.report.etls FOLDER`` writes a run with them there.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.etl.keep import keep
from harness.etl.kept import EtlRecord, record
from harness.etl.log import Quarantined
from harness.etl.model import SOURCES, Round, SourceRun
from harness.load.keep import open_suite

BEGAN = datetime(2026, 7, 25, 10, 31, 7, tzinfo=UTC)


def source_run(number: int, source: str, **changed: object) -> SourceRun:
    place = SOURCES.index(source) if source in SOURCES else 0
    began = BEGAN + timedelta(minutes=11) * number + timedelta(seconds=place * 0.2)
    values: dict[str, object] = {
        "round": number,
        "source": source,
        "status": "succeeded",
        "started_at": began,
        "finished_at": began + timedelta(seconds=2.4),
        "window_from": f"{700 + number}:{705 + number}:{702 + number}",
        "window_to": f"{800 + number}:{805 + number}:",
        "read": 0,
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
        "quarantined": 0,
        "message": None,
    }
    return SourceRun(**{**values, **changed})  # type: ignore[arg-type]


def failed_run(
    number: int, source: str, why: str = "Connection to 127.0.0.1:5433 refused", **more: object
) -> SourceRun:
    return source_run(number, source, status="failed", window_to=None, message=why, **more)


def some_rounds(count: int = 12) -> list[Round]:
    chance = random.Random(7)
    sizes = {"promptcontent": 120, "promptads": 30_000, "promptcrm": 900_000, "cache": 4_000}
    rounds = []
    for number in range(1, count + 1):
        runs = []
        for source in SOURCES:
            if number in (5, 6) and source == "promptads":
                runs.append(failed_run(number, source))
                continue
            size = sizes[source] if number == 1 else chance.randrange(max(sizes[source] // 200, 3))
            inserted = size if number == 1 else size // 3
            runs.append(
                source_run(
                    number,
                    source,
                    window_from=None if number == 1 else f"{700 + number}:{705 + number}:{702 + number}",
                    read=size + (3 if number == count and source == "promptcrm" else 0),
                    inserted=inserted,
                    updated=(size - inserted) // 2,
                    deleted=size // 20 if number > 1 else 0,
                    quarantined=3 if number == count and source == "promptcrm" else 0,
                )
            )
        rounds.append(Round(number, tuple(runs)))
    return rounds


QUARANTINE = [
    Quarantined(
        "promptcrm",
        "there is no campaign 4711 in promptads",
        12,
        ("sale 81", "sale 92", "sale 93", "sale 104", "sale 7"),
    ),
    Quarantined("cache", "there is no content 00000000-0000-0000-0000-000000000001", 1, ("1784975467000-0",)),
]


def sample(status: str = "passed", own: list[int] | None = None, count: int = 12) -> EtlRecord:
    return record(
        "round-12",
        some_rounds(count),
        QUARANTINE,
        title="Round 12",
        database="promptsales@postgresql",
        sources=["promptcontent@mongodb-standin", "promptads@postgresql-standin", "cache@redis"],
        status=status,
        own=own or [12],
        notes=["promptads: no login of its own, the ETL uses the URL's: permission denied to create role"],
    )


def main(folder: Path) -> None:
    suite = open_suite(folder, "20260725103107ab12")
    keep(suite, sample())
    keep(suite, record("test-kill", some_rounds(6)[4:], title="a source is down", database="promptsales@postgresql"))
    first = record("round-1", some_rounds(1), title="Round 1", database="promptsales@postgresql", status="passed")
    keep(suite, first)
    keep(
        suite, record("many", some_rounds(60), title="Sixty rounds", status="failed", database="promptsales@postgresql")
    )
    print(suite.finish())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
