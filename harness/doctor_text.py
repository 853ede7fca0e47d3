"""An examination for the terminal: a table with a column for each machine, below it what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from harness.doctor_facts import HERE, Driver, Examination, Finding, Level, Machine, Reach, Server, State
from harness.doctor_judge import clock_level, described, latency_level
from harness.report import words
from harness.report.words import counted, exact, one_line
from harness.vocabulary import PRODUCTS

_MARK = {Level.ok: ("✓", "green"), Level.warning: ("!", "yellow"), Level.problem: ("✗", "bold red")}
_UNKNOWN = "–"


def table(examination: Examination) -> RenderableType:
    """What was found, for ``console.print``. What machines say of themselves is shown without control characters."""
    machines = examination.machines
    made = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    made.add_column("", no_wrap=True)
    for machine in machines:
        made.add_column(Text(one_line(machine.name)), overflow="fold")
    rows: dict[str, list[Text]] = {
        "machine": [_machine(machine) for machine in machines],
        "address": [_known(machine.address) for machine in machines],
        "system": [_known(machine.system) for machine in machines],
        "Python": [_python(machine) for machine in machines],
    }
    if any(machine.name != HERE for machine in machines):
        rows["clock"] = [_clock(machine) for machine in machines]
        rows["latency"] = [_latency(machine) for machine in machines]
    for engine in dict.fromkeys(server.engine for server in examination.servers if not server.problem):
        rows[f"{PRODUCTS[engine]}'s driver"] = [_driver(machine, engine) for machine in machines]
    for server in examination.servers:
        rows[server.label] = [_database(machine, server) for machine in machines]
    for name, cells in rows.items():
        made.add_row(name, *cells)
    return made


def lines(examination: Examination) -> Iterator[str]:
    """A line for each finding, and one for all."""
    for finding in examination.findings:
        yield f"{_MARK[finding.level][0]} {line(finding)}"
    problems = sum(finding.level is Level.problem for finding in examination.findings)
    warnings = len(examination.findings) - problems
    also = f" and {counted(warnings, 'warning')}" if problems and warnings else ""
    if problems:
        yield f"not ready: {counted(problems, 'problem')}{also}"
    else:
        yield "ready" + (f", with {counted(warnings, 'warning')}" if warnings else "")


def line(finding: Finding) -> str:
    """``pc1, pc2: what is so: what to do``."""
    who = ", ".join(finding.machines)
    text = ": ".join(part for part in (who, finding.text) if part)
    return one_line(text + (f" → {finding.advice}" if finding.advice else ""))


def _cell(level: Level, text: str) -> Text:
    mark, style = _MARK[level]
    return Text(f"{mark} {one_line(text)}", style="" if level is Level.ok else style)


def _reached(machine: Machine) -> bool:
    return bool(machine.python)


def _machine(machine: Machine) -> Text:
    if not _reached(machine):
        return _cell(Level.problem, "not reached")
    return _cell(Level.problem, f"{machine.hostname}: lost") if machine.problem else _known(machine.hostname)


def _known(text: str) -> Text:
    return Text(one_line(text) or _UNKNOWN)


def _python(machine: Machine) -> Text:
    return _cell(Level.ok, machine.python) if _reached(machine) else Text(_UNKNOWN)


def _clock(machine: Machine) -> Text:
    clock = machine.clock
    if machine.local or clock is None:
        return Text("the reference" if machine.name == HERE else _UNKNOWN)
    return _cell(clock_level(clock), words.clock(clock.offset, clock.error))


def _latency(machine: Machine) -> Text:
    clock = machine.clock
    if machine.local or clock is None:
        return Text(_UNKNOWN)
    return _cell(latency_level(clock), f"{exact(clock.median)} (least {exact(clock.round_trip)})")


def _driver(machine: Machine, engine: str) -> Text:
    found: Driver | None = next((driver for driver in machine.drivers if driver.engine == engine), None)
    if found is None:
        return Text(_UNKNOWN)
    if not found.problem:
        return _cell(Level.ok, described(found))
    return _cell(Level.problem, f"{found.driver}, no ODBC driver" if found.driver else "missing")


def _database(machine: Machine, server: Server) -> Text:
    if server.problem:
        return _cell(Level.warning if server.needless else Level.problem, "not there")
    found: Reach | None = next((reach for reach in machine.databases if reach.logical == server.logical), None)
    if found is None:
        return Text(_UNKNOWN)
    if found.state is State.ok:
        return _cell(Level.ok, "logs in")
    return _cell(Level.problem, _WORDS.get(found.state, found.state.value))


_WORDS = {
    State.unknown: "name not known",
    State.silent: "no answer",
    State.no_driver: "not tried: no driver",
    State.no_entry: "not let in (pg_hba.conf)",
    State.login: "log-in refused",
}
