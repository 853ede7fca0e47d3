"""A case and a run for the terminal: coloured where the console is one, plain where the output is piped."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.evidence.model import Evidence
from harness.history import Wait
from harness.report import machines, words
from harness.report.columns import Line, timeline_lines
from harness.report.machines import Machine
from harness.report.reading import found, paired, telling_picture, victims
from harness.report.specifications import Listed, Specification, separated, specifications

VERDICT = {
    "passed": ("✓ passed", "bold green"),
    "failed": ("✗ FAILED", "bold red"),
    "error": ("! ERROR", "bold magenta"),
}


def timeline_text(evidence: Evidence, width: int = 100) -> str:
    """The timeline in plain characters, no line wider than ``width``: no colour, no escape sequences.

    Up to five sessions have a column each (if ``width`` gives them the room); more are told line by line. Below it
    stand the proofs of the anomalies and the end of the deadlocks, under their marks A1, D1…
    """
    return "\n".join(_joined(line) for line in timeline_lines(evidence, max(width, 40))) + "\n"


def case_text(evidence: Evidence, width: int = 100) -> str:
    """All of :func:`case_renderable` in plain characters: what a failing test prints."""
    console = Console(file=io.StringIO(), width=max(width, 40), color_system=None, force_terminal=False)
    console.print(case_renderable(evidence))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def case_renderable(evidence: Evidence) -> RenderableType:
    """A case for ``console.print``: where it ran, its timeline, who waited for whom, what was found, the verdict."""
    history, verdict = evidence.history, evidence.verdict
    parts: list[RenderableType] = [
        Text(words.one_line(history.title) or history.case, style="bold"),
        Text(words.one_line(history.case), style="dim"),
        *([Text(), Text(words.one_line(history.about))] if history.about else []),
        Text(),
        _facts(evidence),
        *_machines(evidence),
        Text(),
        _Timeline(evidence),
    ]
    waits = _wait_lines(evidence)
    if waits:
        parts += [Text(), Text("Who waited for whom", style="bold"), *waits]
    parts += [Text(), _verdict(evidence)]
    if verdict.notes:
        parts += [Text("note: " + words.one_line(note), style="dim") for note in verdict.notes]
    return Group(*parts)


def run_renderable(run: Mapping[str, Any], evidences: Sequence[Evidence]) -> RenderableType:
    """A run for ``console.print``: what ran where, a row per case, and one per specification for all its permutations."""
    cases, permutations = separated(paired(run, evidences))
    listed = specifications(permutations)
    parts: list[RenderableType] = [Text(_run_head(run), style="bold"), *_run_facts(run, evidences)]
    if cases or not listed:
        lines = [line for line, _ in cases]
        parts += [_case_table(cases), _counts(words.counted(len(lines), "case"), lines)]
    if listed:
        lines = [line for line, _ in permutations]
        parts += [_specification_table(listed), _counts(words.permutations(len(lines), len(listed)), lines)]
    return Group(*parts)


def _case_table(cases: Sequence[Listed]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    for name, options in _COLUMNS.items():
        table.add_column(name, **options)
    for case, evidence in cases:
        text, style = VERDICT.get(str(case["status"]), (str(case["status"]), ""))
        phenomena = found(evidence) if evidence else list(case.get("found", []))
        struck = victims(evidence) if evidence else [str(case.get("victim", ""))]
        table.add_row(
            Text(words.one_line(str(case["id"]))),
            Text(text, style=style),
            Text(words.one_line(", ".join(phenomena)) or "–"),
            Text(words.one_line(", ".join(struck)) or "–"),
            f"{float(case.get('seconds') or 0):.2f}",
        )
    return table


def _specification_table(listed: Sequence[Specification]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    table.add_column("specification", overflow="fold")
    table.add_column("verdict")
    for name in ("permutations", "waited", "deadlocks", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    several = len({one.where for one in listed}) > 1
    for one in listed:
        text, style = VERDICT.get(one.status, (one.status, ""))
        others = [permutation.schedule for permutation in one.permutations if permutation.status != "passed"]
        which = f": {', '.join(others[:_NAMED])}" if others else ""
        which += f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        table.add_row(
            Text(words.one_line(f"{one.name}, {one.where}" if several else one.name)),
            Text.assemble((text, style), words.one_line(which)),
            str(len(one.permutations)),
            one.waited or "–",
            str(one.deadlocks or "–"),
            f"{one.seconds:.2f}",
        )
    return table


_NAMED = 4  # permutations that did not pass; of more, how many


_COLUMNS: dict[str, dict[str, Any]] = {
    "case": {"overflow": "fold", "ratio": None},
    "verdict": {"no_wrap": True},
    "found": {},
    "victim": {},
    "seconds": {"justify": "right", "no_wrap": True},
}


def _run_head(run: Mapping[str, Any]) -> str:
    seconds = f"{float(run['seconds']):.1f} s" if run.get("seconds") else ""
    facts = [f"Run {run.get('run', '?')}", str(run.get("started") or ""), seconds]
    return words.one_line(", ".join(fact for fact in facts if fact))


def _run_facts(run: Mapping[str, Any], evidences: Sequence[Evidence]) -> list[Text]:
    versions = ", ".join(f"{name} {version}" for name, version in dict(run.get("versions", {})).items())
    hosts = ", ".join(machines.with_those_of(evidences, map(str, run.get("hosts", []))))
    options = ", ".join(f"{name}={value}" for name, value in dict(run.get("options", {})).items())
    facts = {"hosts": hosts, "versions": versions, "options": options}
    lines = [Text(f"{name:<9}{words.one_line(text)}") for name, text in facts.items() if text]
    stand_ins = dict.fromkeys(
        words.where(database) for e in evidences for database in e.history.databases if database.stand_in
    )
    lines += [Text(f"stand-in {text}", style="yellow") for text in stand_ins]
    return lines


def _counts(what: str, lines: Sequence[Mapping[str, Any]]) -> Text:
    statuses = [str(line["status"]) for line in lines]
    text = Text(f"{what}: ")
    for i, (status, (_, style)) in enumerate(VERDICT.items()):
        number = statuses.count(status)
        text.append(", " if i else "").append(f"{number} {status}", style=style if number else "dim")
    return text


def _facts(evidence: Evidence) -> Table:
    history = evidence.history
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for i, text in enumerate(words.places(history)):
        grid.add_row("where" if i == 0 else "", Text(words.one_line(text)))
    grid.add_row("level", Text(words.one_line(words.levels(history))))
    grid.add_row("schedule", Text(words.one_line(words.schedule(history))))
    if history.file:
        grid.add_row("scenario", Text(words.one_line(history.file)))
    if history.transactions:
        counts = ", ".join(f"{number} {kind}" for kind, number in history.transactions.items())
        grid.add_row("counts", Text(words.one_line(counts)))
    if history.end.value != "completed":
        grid.add_row("end", Text(words.one_line(f"{history.end.value}: {history.end_text}"), style="magenta"))
    for session in history.sessions:
        for note in session.notes:
            grid.add_row("note", Text(words.one_line(f"{session.name}: {note}"), style="dim"))
    return grid


def _machines(evidence: Evidence) -> list[RenderableType]:
    """Where the sessions ran, and by which clocks; nothing if all ran at the controller."""
    listed = machines.machines(evidence.history)
    if not listed:
        return []
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", overflow="fold", max_width=24)
    grid.add_column(overflow="fold")
    for one in listed:
        told = Text("\n".join(_machine(one)))
        grid.add_row(Text(one.name), told.append(f"\nlost: {one.lost}", style="bold magenta") if one.lost else told)
    return [Text(), Text("Machines", style="bold"), grid, Text(machines.ORDER_ALONE, style="dim")]


def _machine(one: Machine) -> Iterator[str]:
    """A machine in a line or two."""
    sessions = "no session ran there" if one.sessions == machines.UNKNOWN else f"ran {one.sessions}"
    if one.is_controller:
        yield f"the controller; {sessions}"
        return
    at = "" if one.address == machines.UNKNOWN else f" at {one.address}"
    facts = [fact for fact in (f"{one.hostname}{at}", one.system, one.python) if fact != machines.UNKNOWN]
    facts += [] if one.pid == machines.UNKNOWN else [f"agent's pid {one.pid}"]
    yield f"{sessions}; {', '.join(facts)}"
    if one.clock != machines.UNKNOWN:
        yield f"clock {one.clock}, round trip {one.round_trip}"


class _Timeline:
    """The timeline at whatever width the console has."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in timeline_lines(self._evidence, options.max_width):
            yield Text.assemble(*line, no_wrap=True, overflow="crop")


def wait_text(wait: Wait, database: str) -> str:
    """An edge of the wait-for graph: ``T1 ──waits for──▶ T2 (ShareLock on transaction 742, promptsales)``."""
    where = f"{words.resource(wait)}, {database}"
    return words.one_line(f"{words.who(wait.waiter)} ──waits for──▶ {words.who(wait.holder)} ({where})")


def _wait_lines(evidence: Evidence) -> list[RenderableType]:
    picture = telling_picture(evidence.history)
    if picture is None:
        return []
    lines: list[RenderableType] = [Text(words.picture_title(picture), style="dim")]
    closing = set(zip(picture.cycle, picture.cycle[1:] + picture.cycle[:1], strict=True))
    several = len(words.servers(evidence.history)) > 1
    for wait in picture.waits:
        style = "bold red" if (wait.waiter, wait.holder) in closing else ""
        database = words.logical_of(evidence.history, wait.database)
        if several:
            database += f" at {words.server_of(evidence.history, wait.database)}"
        lines.append(Padding(Text(wait_text(wait, database), style=style), (0, 0, 0, 2)))
    if picture.cycle:
        text = f"cycle: {words.cycle(picture.cycle)}"
        if len(picture.servers) > 1:
            text += f", over the servers {' and '.join(picture.servers)}"
        if picture.seen_by_server is False:
            text += "; no server's own detector can see it"
        lines.append(Padding(Text(words.one_line(text), style="bold"), (0, 0, 0, 2)))
    struck = victims(evidence)
    if struck:
        lines.append(Padding(Text(words.one_line(f"victim: {', '.join(struck)}"), style="bold red"), (0, 0, 0, 2)))
    return lines


def _verdict(evidence: Evidence) -> RenderableType:
    verdict = evidence.verdict
    text, style = VERDICT[verdict.status.value]
    lines: list[RenderableType] = [Text.assemble((text, style), ": ", words.one_line(verdict.summary))]
    names = found(evidence)
    lines.append(Text(words.one_line("found: " + (", ".join(names) or "nothing"))))
    if verdict.expected:
        lines.append(Text(words.one_line("expected: " + "; ".join(verdict.expected))))
    for mismatch in verdict.mismatches if verdict.mismatches != [verdict.summary] else []:
        first, *diff = words.clean(mismatch).expandtabs().split("\n")
        said = Text("\n".join(["✗ " + words.one_line(first), *diff]), style="red")
        lines.append(Padding(said, (0, 0, 0, 2)))
    return Group(*lines)


def _joined(line: Line) -> str:
    return "".join(text for text, _ in line).rstrip()
