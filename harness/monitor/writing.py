"""Keeps a series while it grows: each row is on its way to the disk when its sample is a moment old.

Whoever kills the run, or the sampler, loses nothing of what was sampled before. A second monitor of the same run goes on in
the same files, after an empty row: a gap.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from harness.monitor.series import (
    FOLDER,
    WAITS,
    Cost,
    Measure,
    Series,
    TopStatement,
    as_csv,
    cells,
    read_statements,
    write_facts,
    write_statements,
)
from harness.monitor.turning import Row


class SeriesWriter:
    """One series' files below a run's folder. All methods raise OSError."""

    def __init__(self, run_folder: Path, series: Series) -> None:
        self._folder = run_folder / FOLDER
        self.series = series
        self._rows: TextIO | None = None
        self._waits: TextIO | None = None
        self._before: Cost | None = None
        self._told: list[TopStatement] = []  # by a monitor before

    def row(self, row: Row) -> None:
        """Add a row, and what was waited for."""
        if self._rows is None:
            self._rows = self._open()
        names = [measure.name for measure in self.series.measures]
        self._rows.write(as_csv([cells(row.at, [row.values.get(name) for name in names])]))
        self._rows.flush()
        if row.waits:
            if self._waits is None:
                self._waits = self._append(f"{self.series.name}.waits.csv", WAITS)
            waits = sorted(row.waits.items(), key=lambda item: -item[1])
            self._waits.write(as_csv([(f"{row.at:.3f}", wait, f"{sessions:.6g}") for wait, sessions in waits]))
            self._waits.flush()

    def _open(self) -> TextIO:
        """The file of rows: a new one, or one of the same columns that is there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._go_on()
        write_facts(self._folder, self.series)
        header = ("at", *(measure.name for measure in self.series.measures))
        there = self._folder / f"{self.series.name}.csv"
        file = self._append(there.name, header)
        file.flush()
        _, *rows = there.read_bytes().splitlines()
        if rows:
            last = rows[-1].split(b",")[0].decode()
            file.write(as_csv([[last, *("" for _ in header[1:])]]))
        return file

    def _go_on(self) -> None:
        """Take over what a monitor of the same run wrote before, if its columns are ours."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            facts = json.loads((self._folder / f"{self.series.name}.json").read_text(encoding="utf-8"))
            if [Measure(**one) for one in facts["measures"]] == self.series.measures:
                self._before = Cost(**facts["cost"]) if facts["cost"] else None
                self.series.notes[:0] = [note for note in facts["notes"] if note not in self.series.notes]
                self._told = read_statements(self._folder / f"{self.series.name}.csv")
                return
        for file in self._folder.glob(f"{self.series.name}.*"):
            file.unlink()

    def _append(self, name: str, header: Sequence[str]) -> TextIO:
        path = self._folder / name
        whole = 0
        if path.is_file():  # whoever wrote it may have been killed in the middle of a row
            whole = path.read_bytes().rfind(b"\n") + 1
            os.truncate(path, whole)
        file = path.open("a", newline="", encoding="utf-8")
        if not whole:
            file.write(as_csv([header]))
        return file

    def facts(self) -> None:
        """Write down whose samples they are, once there are any."""
        if self._rows is not None:
            write_facts(self._folder, self.series)

    def statements(self, top: Sequence[TopStatement]) -> None:
        """The most expensive ones so far; of what a monitor before had, nothing is lost."""
        made = {one.text: one for one in self._told}
        for one in top:
            before = made.get(one.text)
            made[one.text] = one if before is None else _both(before, one)
        self.series.statements = sorted(made.values(), key=lambda one: -one.milliseconds)[
            : max(len(top), len(self._told))
        ]
        if self._rows is not None:
            write_statements(self._folder, self.series)

    def close(self, cost: Cost) -> None:
        """Write down what it cost, and let go."""
        self.series.cost = _sum(self._before, cost)
        try:
            self.facts()
        finally:
            for file in (self._rows, self._waits):
                if file is not None:
                    file.close()


def _both(one: TopStatement, other: TopStatement) -> TopStatement:
    rows = None if one.rows is None and other.rows is None else (one.rows or 0) + (other.rows or 0)
    return TopStatement(one.text, one.calls + other.calls, round(one.milliseconds + other.milliseconds, 3), rows)


def _sum(one: Cost | None, other: Cost) -> Cost:
    """What two monitors cost together, one after the other."""
    if one is None or not one.samples:
        return other
    samples = one.samples + other.samples
    weigh = [one.samples / samples, other.samples / samples]
    return Cost(
        samples=samples,
        failed=one.failed + other.failed,
        milliseconds=one.milliseconds * weigh[0] + other.milliseconds * weigh[1],
        most=max(one.most, other.most),
        share=one.share * weigh[0] + other.share * weigh[1],
        cpu=None if one.cpu is None or other.cpu is None else one.cpu + other.cpu,
    )
