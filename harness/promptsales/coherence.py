"""Do the five databases agree? Every id that one holds of another exists there, sums equal their sources, dates enclose.

Rules are small objects (``coherence_rules``); each compares sorted rows that come one by one from their servers: no more
memory is needed for fifty million clients than for two hundred. What is shown of a row that breaks a rule is its key, and
numbers; never a text that could be a person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import DataError, HarnessError
from harness.promptsales.coherence_sources import Sources

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 5
"""Offenders that are kept of each rule."""


class LeftOut(Exception):
    """A rule finds that it has nothing to look at; the text says why."""


@dataclass(slots=True)
class Tally:
    """What a rule found so far."""

    checked: int = 0
    broken: int = 0
    offenders: list[str] = field(default_factory=list)

    def breaks(self, offender: str, count: int = 1) -> None:
        """Take in what breaks the rule; the first few are kept by name."""
        self.broken += count
        if len(self.offenders) < SHOWN:
            self.offenders.append(offender)


class Rule(Protocol):
    """One thing that must hold."""

    @property
    def name(self) -> str:
        """What must hold, in a few words."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """The logical databases that it looks at."""
        ...

    def run(self, sources: Sources) -> Tally:
        """Look. Raises LeftOut, DataError (a query is refused), ServerError, LoginRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's result; ``left_out`` says why it was not checked."""

    rule: str
    databases: tuple[str, ...]
    checked: int = 0
    broken: int = 0
    offenders: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order of the rules."""

    findings: tuple[Finding, ...]

    @property
    def coherent(self) -> bool:
        """Whether nothing is broken."""
        return not any(finding.broken for finding in self.findings)

    @property
    def left_out(self) -> list[str]:
        """A line for each rule that was not checked."""
        return [f"not checked: {one.rule}: {one.left_out}" for one in self.findings if one.left_out]


def check(
    places: Mapping[str, tuple[str, str]],
    missing: Mapping[str, str] | None = None,
    rules: Iterable[Rule] | None = None,
) -> Report:
    """Check the rules on the databases ``places`` (engine and URL by logical name).

    ``missing`` says why others are not there. Raises DataError if not one rule could be checked.
    """
    if rules is None:
        from harness.promptsales.coherence_rules import RULES

        rules = RULES
    sources = Sources(places)
    try:
        findings = tuple(_finding(rule, sources, places, missing or {}) for rule in rules)
    finally:
        sources.close()
    if all(finding.left_out for finding in findings):
        reasons = dict.fromkeys(finding.left_out for finding in findings)
        raise DataError(f"nothing could be checked: {'; '.join(reasons)}")
    return Report(findings)


def _finding(
    rule: Rule, sources: Sources, places: Mapping[str, tuple[str, str]], missing: Mapping[str, str]
) -> Finding:
    for logical in rule.needs:
        if logical not in places:
            return Finding(rule.name, rule.needs, left_out=f"{logical} is {missing.get(logical, 'not given')}")
    try:
        tally = rule.run(sources)
    except (HarnessError, LeftOut) as problem:
        return Finding(rule.name, rule.needs, left_out=str(problem))
    return Finding(rule.name, rule.needs, tally.checked, tally.broken, tuple(tally.offenders))


def report_table(report: Report) -> Table:
    """The findings as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table("rule", "databases", box=None, pad_edge=False)
    table.add_column("checked", justify="right")
    table.add_column("broken", justify="right")
    table.add_column("first of them", overflow="fold")
    for one in report.findings:
        if one.left_out:
            continue
        style = "bold red" if one.broken else ""
        table.add_row(
            Text(one.rule),
            Text(", ".join(one.databases)),
            f"{one.checked:,}",
            Text(f"{one.broken:,}", style),
            Text("; ".join(one.offenders)),
        )
    return table


def report_json(report: Report) -> dict[str, Any]:
    """The findings as plain data."""
    return {
        "coherent": report.coherent,
        "rules": [
            {
                "rule": one.rule,
                "databases": list(one.databases),
                "checked": one.checked,
                "broken": one.broken,
                "offenders": list(one.offenders),
                **({"left_out": one.left_out} if one.left_out else {}),
            }
            for one in report.findings
        ],
    }
