"""What is wrong with a run's machines, and how much it matters: out of what was found, nothing else is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from harness import doctor_advice as advice
from harness.doctor_facts import HERE, Driver, Finding, Level, Machine, Reach, Server, State
from harness.report.words import exact
from harness.runner.remote.link import Clock

OFF = 1.0
"""Seconds that a clock may be off before that is worth a word: no verdict depends on it."""

SLOW = 0.05
"""Seconds of an ordinary round trip from which on steps take noticeably long."""


def judge(machines: Sequence[Machine], servers: Sequence[Server]) -> tuple[Finding, ...]:
    """All findings, problems first. The same about several machines is one finding."""
    found = [*_of_servers(servers)]
    for machine in machines:
        if machine.problem:
            found.append(Finding(Level.problem, (machine.name,), _without_name(machine)))
        found += _of_drivers(machine)
        found += _of_databases(machine, servers, machines)
        found += _of_clock(machine)
    found += _same_machines(machines)
    found += _versions(machines)
    return tuple(sorted(_merged(found), key=lambda one: one.level is not Level.problem))


def clock_level(clock: Clock) -> Level:
    """Whether a machine's clock is worth a word."""
    return Level.warning if abs(clock.offset) > OFF else Level.ok


def latency_level(clock: Clock) -> Level:
    """Whether the way to a machine is."""
    return Level.warning if clock.median > SLOW else Level.ok


def _without_name(machine: Machine) -> str:
    """A HostError's text begins with the machine, and so does the line that a finding becomes."""
    text = machine.problem.removeprefix(machine.name)
    return text.removeprefix(":").strip() if text != machine.problem else text


def _merged(found: Iterable[Finding]) -> list[Finding]:
    names: dict[tuple[Level, str, str], list[str]] = defaultdict(list)
    for one in found:
        names[one.level, one.text, one.advice] += one.machines
    return [Finding(level, tuple(dict.fromkeys(at)), text, do) for (level, text, do), at in names.items()]


# -- the databases


def _of_servers(servers: Sequence[Server]) -> Iterator[Finding]:
    for server in servers:
        if server.problem:
            text = server.problem.removeprefix(f"{server.logical}: ")
            level = Level.warning if server.needless else Level.problem
            do = "; cases that need it are skipped" if server.needless else ""
            yield Finding(level, (), f"{server.logical}: {text}{do}")
    if servers and all(server.problem for server in servers):
        yield Finding(Level.problem, (), "not one database can be had", "harness up starts some; or give their URLs")


def _of_databases(machine: Machine, servers: Sequence[Server], machines: Sequence[Machine]) -> Iterator[Finding]:
    """What keeps a machine from the databases; those of one server are named together."""
    by_name = {server.logical: server for server in servers}
    clients = [other.address for other in machines if other.address]
    together: dict[tuple[str, str], list[str]] = defaultdict(list)
    for reach in machine.databases:
        server = by_name[reach.logical]
        if reach.state is State.out_of_reach:
            text, _, do = reach.said.removeprefix(f"{server.label}: ").partition("; ")
            together[text, advice.to_let_in(do, clients)].append(reach.logical)
        elif reach.state not in (State.ok, State.no_driver):
            together[_what(server, reach), advice.for_database(server, reach, machine)].append(reach.logical)
    for (text, do), logicals in together.items():
        yield Finding(Level.problem, (machine.name,), f"{', '.join(logicals)}: {text}", do)


def _what(server: Server, reach: Reach) -> str:
    at = f"{reach.host}:{reach.port}"
    match reach.state:
        case State.refused:
            return f"nobody listens for it at {at} ({reach.said})"
        case State.silent:
            return f"{at} does not answer ({reach.said})"
        case State.unreachable:
            return f"{at} cannot be reached ({reach.said})"
        case State.unknown:
            return f"it knows no machine called {reach.host} ({reach.said})"
        case State.no_entry:
            return f"no line of pg_hba.conf lets {reach.source or 'it'} in at {at}"
        case _:
            return reach.said


# -- the machines


def _of_drivers(machine: Machine) -> Iterator[Finding]:
    missing = [driver for driver in machine.drivers if driver.pip]
    if missing:
        text = "; ".join(dict.fromkeys(driver.problem for driver in missing))
        do = advice.to_install(machine, [driver.pip for driver in missing])
        yield Finding(Level.problem, (machine.name,), text, do)
    for driver in machine.drivers:
        if driver.problem and not driver.pip:
            yield Finding(Level.problem, (machine.name,), driver.problem)


def _of_clock(machine: Machine) -> Iterator[Finding]:
    clock = machine.clock
    if clock is None or machine.local:
        return
    if clock_level(clock) is Level.warning:
        way = "ahead of" if clock.offset > 0 else "behind"
        yield Finding(
            Level.warning,
            (machine.name,),
            f"its clock is {exact(abs(clock.offset))} {way} the one here (± {exact(clock.error)})",
            "turn on NTP (Linux: timedatectl set-ntp true; Windows: w32tm /resync); events are in the right order anyway",
        )
    if latency_level(clock) is Level.warning:
        yield Finding(
            Level.warning,
            (machine.name,),
            f"a word there and back takes {exact(clock.median)}, at least {exact(clock.round_trip)}",
            "each step there takes as long: use a cable, or a machine that is nearer",
        )


def _same_machines(machines: Sequence[Machine]) -> Iterator[Finding]:
    """Two names for one machine: what is shown of two PCs is then shown of none."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for machine in machines:
        if machine.name != HERE and machine.hostname:
            groups[machine.hostname, machine.address].append(machine.name)
    for (hostname, address), names in groups.items():
        if len(names) > 1:
            which = f"{hostname}, {address}" if address else f"{hostname}, this machine"
            yield Finding(
                Level.warning,
                tuple(names),
                f"this is one and the same machine ({which})",
                "sessions run there all the same, but not on two machines: let each --tx name another one",
            )


def _versions(machines: Sequence[Machine]) -> Iterator[Finding]:
    """Two machines that are not made of the same may behave differently."""
    others = [machine for machine in machines if machine.name != HERE and machine.python]
    yield from _differing(
        others, lambda machine: f"Python {machine.python}", "--tx …//python=PATH says which one is taken"
    )
    engines = dict.fromkeys(driver.engine for machine in others for driver in machine.drivers)
    for engine in engines:
        yield from _differing(others, partial(_version, engine), "install the same one on all of them")


def _version(engine: str, machine: Machine) -> str:
    for driver in machine.drivers:
        if driver.engine == engine and driver.driver and not driver.problem:
            return described(driver)
    return ""


def described(driver: Driver) -> str:
    """``pyodbc 5.1.0, ODBC Driver 18 for SQL Server``."""
    return ", ".join(part for part in (driver.driver, driver.odbc) if part)


def _differing(machines: Sequence[Machine], version: Callable[[Machine], str], do: str) -> Iterator[Finding]:
    """A warning if there is more than one version."""
    where: dict[str, list[str]] = defaultdict(list)
    for machine in machines:
        if found := version(machine):
            where[found].append(machine.name)
    if len(where) > 1:
        told = "; ".join(f"{found} on {', '.join(names)}" for found, names in where.items())
        yield Finding(Level.warning, (), f"different versions: {told}", do)
