"""Two runs beside each other: cases, plans and load that are new, gone, better or worse.

What is measured once is told carefully: a case's time counts as changed only if it stands out from how all times differ,
and it never counts as worse. Load has a value for each second, so its scatter is known.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.evidence.store import EVIDENCE, prefix, read_lines
from harness.load.result import LoadResult, Requests, read_results
from harness.plans.model import Node, PlanPair, Side
from harness.plans.store import read_pairs
from harness.report import words
from harness.report.charts import number
from harness.report.pairs import access, milliseconds

_SLOW = 0.05  # seconds: a case that got slower by less is not worth a line
_RATIO = 1.5  # and by less than this
_DEVIATIONS = 4.0  # from what all cases did, in deviations
_THROUGHPUT, _PERCENTILE = 0.10, 0.25  # parts by which load must have changed
_LOST = 0.01  # part of the requests
_BAD = {"passed": 0, "error": 1, "failed": 2}
_WAYS = ("seek", "index scan", "scan")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``worse``: True, False for better, None for neither; ``link`` is a place on the newer run's page."""

    what: str
    kind: str
    before: str
    after: str
    worse: bool | None = None
    link: str = ""


@dataclass(slots=True)
class Differences:
    """All differences of two runs, by sections."""

    before: str
    after: str
    sections: list[tuple[str, list[Change]]] = field(default_factory=list)
    same: int = 0  # cases that are what they were
    notes: list[str] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        """All of them."""
        return [change for _, changes in self.sections for change in changes]

    @property
    def worse(self) -> int:
        """How many are for the worse."""
        return sum(change.worse is True for change in self.changes)

    @property
    def better(self) -> int:
        """How many are for the better."""
        return sum(change.worse is False for change in self.changes)


def compare(before: Path, after: Path, numbers: Mapping[str, int] | None = None) -> Differences:
    """The differences of two runs' folders. ``numbers``: of the cases on the newer one's page. Raises StoreError."""
    old, new = read_lines(before), read_lines(after)
    made = Differences(before.name, after.name)
    theirs, its = _by_id(old), _by_id(new)
    cases, made.same = _cases(theirs, its, before, after, numbers or {})
    made.sections.append(("Cases", cases))
    times, note = _times(theirs, its, numbers or {})
    made.sections.append(("Times of cases", times))
    made.notes += [note] if note else []
    made.sections.append(("Plans", _plans(read_pairs(before), read_pairs(after))))
    made.sections.append(("Load", _loads(read_results(before), read_results(after))))
    made.sections = [(title, changes) for title, changes in made.sections if changes]
    return made


def previous(folder: Path) -> Path | None:
    """The run before this one in the same results: the greatest id below its own that holds anything to compare."""
    runs = sorted((one for one in folder.parent.iterdir() if one.is_dir() and not one.is_symlink()), reverse=True)
    return next((one for one in runs if one.name < folder.name and _comparable(one)), None)


def _comparable(run: Path) -> bool:
    """Whether it is a run that kept something else than rounds of the ETL, which are compared with nothing."""
    if not (run / "run.json").is_file() or not (run / "etl").is_dir():
        return (run / "run.json").is_file()
    return any((run / name).is_dir() for name in ("load", "plans")) or bool(read_lines(run))


def _by_id(lines: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(str(line.get("file", "")), str(line["id"])): line for line in lines}


Lines = Mapping[tuple[str, str], Mapping[str, Any]]


def _cases(old: Lines, new: Lines, before: Path, after: Path, numbers: Mapping[str, int]) -> tuple[list[Change], int]:
    changes: list[Change] = []
    same = 0
    for key in sorted({*old, *new}):
        one, other = old.get(key), new.get(key)
        link = f"#case-{numbers[key[1]]}" if key[1] in numbers else ""
        if one is None and other is not None:
            worse = True if other["status"] != "passed" else None
            changes.append(Change(key[1], "new", "", _verdict(other), worse, link))
        elif other is None and one is not None:
            changes.append(Change(key[1], "gone", _verdict(one), ""))
        elif one is not None and other is not None:
            some = list(_case(key[1], one, other, before, after, link))
            changes += some
            same += not some
    changes.sort(key=lambda change: (change.worse is not True, change.worse is not False, change.what))
    return changes, same


def _verdict(line: Mapping[str, Any]) -> str:
    return "not judged" if line["status"] == "error" else str(line["status"])


def _case(
    ident: str, one: Mapping[str, Any], other: Mapping[str, Any], before: Path, after: Path, link: str
) -> Iterable[Change]:
    if one["status"] != other["status"]:
        worse = _BAD.get(other["status"], 1) > _BAD.get(one["status"], 1)
        summary = f": {other.get('summary', '')}" if worse else ""
        yield Change(ident, "verdict", _verdict(one), _verdict(other) + summary, worse, link)
    found = [", ".join(map(str, line.get("found", []))) or "nothing" for line in (one, other)]
    if found[0] != found[1]:
        yield Change(ident, "found", found[0], found[1], None, link)
    if not one.get("permutation"):
        levels = [_observed(folder, line) for folder, line in ((before, one), (after, other))]
        if levels[0] != levels[1] and all(levels):
            yield Change(ident, "level observed", levels[0], levels[1], None, link)


def _observed(folder: Path, line: Mapping[str, Any]) -> str:
    """The isolation levels that a case's sessions really had; nothing if its evidence is not to be had."""
    if not line.get("folder"):
        return ""
    try:
        evidence = json.loads((folder / f"{prefix(line)}{EVIDENCE}").read_text("utf-8"))
        sessions = evidence["history"]["sessions"]
        return ", ".join(dict.fromkeys(level for one in sessions for level in one.get("observed_levels", {}).values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""


def _times(old: Lines, new: Lines, numbers: Mapping[str, int]) -> tuple[list[Change], str]:
    """Cases whose time stands out from how all times differ. Each was measured once, so nothing is called worse."""
    pairs = [
        (key[1], float(old[key].get("seconds") or 0), float(new[key].get("seconds") or 0))
        for key in sorted({*old} & {*new})
    ]
    logs = {ident: math.log(after / before) for ident, before, after in pairs if before > 0 and after > 0}
    if len(logs) < 5:
        return [], ""
    middle = statistics.median(logs.values())
    spread = statistics.median(abs(one - middle) for one in logs.values()) * 1.4826  # as a standard deviation
    changes = []
    for ident, before, after in pairs:
        off = abs(logs.get(ident, middle) - middle)
        if off > max(_DEVIATIONS * spread, math.log(_RATIO)) and abs(after - before) > _SLOW:
            ratio = f"{after / before:.1f}×" if after > before else f"1/{before / after:.1f}"
            link = f"#case-{numbers[ident]}" if ident in numbers else ""
            text = f"{words.elapsed(after)} ({ratio})"
            changes.append(Change(ident, "time", words.elapsed(before), text, None, link))
    note = (
        f"Times: all in all ×{math.exp(middle):.2f} (the median of {len(logs)} cases, each measured once); "
        f"listed are cases that stand out from the others' scatter of ×{math.exp(spread):.2f}."
    )
    return changes, note


# -- plans


def shape(node: Node, depth: int = 0) -> list[str]:
    """A plan's operators with what they read, one line each, indented: what must not change unseen."""
    on = f" {node.object}" if node.object else ""
    by = f" by {node.index}" if node.index else ""
    lines = [f"{'  ' * depth}{node.operator}{on}{by}"]
    for child in node.children:
        lines += shape(child, depth + 1)
    return lines


def _plans(old: Sequence[PlanPair], new: Sequence[PlanPair]) -> list[Change]:
    before, after = {pair.id: pair for pair in old}, {pair.id: pair for pair in new}
    places = {pair.id: place for place, pair in enumerate(new, 1)}
    changes = []
    for ident in sorted({*before, *after}):
        one, other = before.get(ident), after.get(ident)
        link = f"#plan-{places[ident]}" if ident in places else ""
        if one is None or other is None:
            if other is not None:
                changes.append(Change(ident, "new", "", other.status, True if other.status != "passed" else None, link))
            elif one is not None:
                changes.append(Change(ident, "gone", one.status, ""))
            continue
        if one.status != other.status:
            changes.append(Change(ident, "verdict", one.status, other.status, other.status != "passed", link))
        for name in ("before", "after"):
            changes += _sides(f"{ident}, {name}", getattr(one, name), getattr(other, name), link)
    return changes


def _sides(what: str, one: Side, other: Side, link: str) -> Iterable[Change]:
    shapes = [shape(side.plan.root) for side in (one, other)]
    if shapes[0] != shapes[1]:
        ways = [access(side.plan) for side in (one, other)]
        worse = None
        if all(way in _WAYS for way in ways) and ways[0] != ways[1]:
            worse = _WAYS.index(ways[1]) > _WAYS.index(ways[0])
        told = [
            f"{way}: {_first_difference(mine, its)}" for way, mine, its in zip(ways, shapes, shapes[::-1], strict=True)
        ]
        yield Change(what, "plan's shape", told[0], told[1], worse, link)
    if one.timing and other.timing:
        apart = one.timing.most < other.timing.least or other.timing.most < one.timing.least
        ratio = (milliseconds(other) or 0) / (milliseconds(one) or 1)
        if apart and not 1 / 1.2 < ratio < 1.2:
            texts = [
                f"{number(t.median)} ms ({number(t.least)} to {number(t.most)})" for t in (one.timing, other.timing)
            ]
            yield Change(what, "time", texts[0], texts[1], None, link)


def _first_difference(mine: Sequence[str], its: Sequence[str]) -> str:
    return next((line.strip() for line in mine if line not in its), mine[0].strip())


# -- load


def _loads(old: Sequence[LoadResult], new: Sequence[LoadResult]) -> list[Change]:
    before = {result.name: result for result in old}
    after = {result.name: (place, result) for place, result in enumerate(new, 1)}
    changes: list[Change] = []
    for name in sorted({*before, *after}):
        if name not in after:
            changes.append(Change(name, "gone", before[name].status, ""))
            continue
        place, result = after[name]
        link = f"#load-{place}"
        if name not in before:
            changes.append(Change(name, "new", "", result.status, True if result.status != "passed" else None, link))
            continue
        if before[name].status != result.status:
            worse = result.status != "passed"
            changes.append(Change(name, "verdict", before[name].status, result.status, worse, link))
        changes += _load(name, before[name], result, link)
    return changes


def _load(name: str, one: LoadResult, other: LoadResult, link: str) -> Iterable[Change]:
    rates = [_by_offset(result, result.requests, "done") for result in (one, other)]
    ratio = _beyond_noise(rates[0], rates[1], _THROUGHPUT)
    if ratio:
        means = [
            number(statistics.fmean(some.values()) / (run.step or 1))
            for some, run in zip(rates, (one, other), strict=True)
        ]
        told = f"{means[1]}/s ({ratio - 1:+.0%})"
        yield Change(f"{name}: all requests", "throughput", f"{means[0]}/s", told, ratio < 1, link)
    theirs = {(kind.database, kind.name): kind for kind in one.requests}
    for kind in other.requests:
        its = theirs.get((kind.database, kind.name))
        if its is None:
            continue
        yield from _response(f"{name}: {kind.name}", (one, its), (other, kind), link)
        yield from _given_up(f"{name}: {kind.name}", its, kind, link)


def _given_up(what: str, one: Requests, other: Requests, link: str) -> Iterable[Change]:
    """The part of the requests that were given up, if it changed by more than chance does to so many."""
    failed = [sum(kind.failed.values()) for kind in (one, other)]
    every = [max(kind.done + count, 1) for kind, count in zip((one, other), failed, strict=True)]
    parts = [count / whole for count, whole in zip(failed, every, strict=True)]
    both = sum(failed) / sum(every)
    error = math.sqrt(both * (1 - both) * sum(1 / whole for whole in every))
    if abs(parts[1] - parts[0]) > max(_LOST, _DEVIATIONS * error):
        texts = [f"{part * 100:.2g} % of {whole:,}" for part, whole in zip(parts, every, strict=True)]
        yield Change(what, "given up", texts[0], texts[1], parts[1] > parts[0], link)


def _response(
    what: str, one: tuple[LoadResult, Requests], other: tuple[LoadResult, Requests], link: str
) -> Iterable[Change]:
    """The percentiles that changed, together; worse if one of them is."""
    before, after, worse = [], [], False
    for percentile in ("50", "95", "99"):
        steps = [_by_offset(run, [kind], f"p{percentile}") for run, kind in (one, other)]
        values = [kind.percentiles.get(percentile) for _, kind in (one, other)]
        ratio = _beyond_noise(steps[0], steps[1], _PERCENTILE)
        if ratio and values[0] and values[1]:
            before.append(f"p{percentile} {number(values[0])}")
            after.append(f"p{percentile} {number(values[1])} ({values[1] / values[0] - 1:+.0%})")
            worse |= ratio > 1
    if before:
        yield Change(what, "response time", f"{', '.join(before)} ms", f"{', '.join(after)} ms", worse, link)


def _by_offset(result: LoadResult, requests: Iterable[Requests], field_: str) -> dict[int, float]:
    """A value of each step, by how many steps after the beginning; the first and last are seldom whole, so left out."""
    sums: dict[int, float] = defaultdict(float)
    for kind in requests:
        for second in kind.seconds:
            value = getattr(second, field_)
            if value is not None:
                sums[round((second.at - result.began) / (result.step or 1))] += value
    return {place: sums[place] for place in sorted(sums)[1:-1]}


def _beyond_noise(before: Mapping[int, float], after: Mapping[int, float], part: float) -> float:
    """By what it changed, step beside step; 0 if that is less than ``part``, or no more than the steps' own scatter.

    Steps of the same place in both runs are compared, since load has a shape: what scatters is their ratio.
    """
    logs = [math.log(after[place] / before[place]) for place in before if before[place] > 0 and after.get(place, 0) > 0]
    if len(logs) < 8:
        return 0.0
    mean, error = statistics.fmean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean) if abs(mean) > max(math.log(1 + part), _DEVIATIONS * error) else 0.0
