"""What a step on another machine costs: the coordinator over ssh, beside the bare channel's round trip and a step here.

    python3 run.py python benchmarks/two_hosts.py [--rounds 5] [--table docs/performance.md] [--tx ssh=pc1 --tx ssh=pc2]

Without --tx two network namespaces stand for the machines, each with an sshd (root on Linux; tests/namespaces). Sessions on
both machines run SELECT 1 in turn through the whole coordinator. Coordination is what is left of a step when the time that
it took on the other machine, by that machine's own clock, is taken off. The bare channel is execnet's, over the same ssh:
one small item there and back. All of it is measured in the same rounds; times are medians in milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from steps import Bench, case_of, median_ms, session
from tables import renew

from harness.history import ENDINGS, Event
from harness.runner.databases import Databases
from harness.runner.remote.gateway import open_gateway
from harness.runner.remote.places import Hosts
from harness.runner.remote.specs import host_specs
from harness.servers import open_servers
from harness.suite import new_run_id

STEPS = 1000
NAMES = ("A", "B")


@dataclass(frozen=True, slots=True)
class Round:
    """Medians in milliseconds."""

    step: float
    there: float
    coordination: float
    bare: float
    here: float


def bare(specs: Sequence[str]) -> float:
    """Milliseconds of a small item's way there and back over execnet's channel, to each machine in turn."""
    with ExitStack() as stack:
        channels = []
        for spec in host_specs(specs):
            gateway = open_gateway(spec)
            stack.callback(gateway.close)
            channels.append(gateway.inner.remote_exec("for item in channel: channel.send(item)"))
        took = []
        for number in range(STEPS):
            channel = channels[number % len(channels)]
            began = time.perf_counter()
            channel.send(number)
            channel.receive()
            took.append(time.perf_counter() - began)
    return median_ms(took)


def ended(bench: Bench, hosts: Hosts | None) -> list[Event]:
    """A run's endings: SELECT 1 by two sessions in turn, on the machines or here."""
    names = [f"s{number}" for number in range(STEPS)]
    sessions = [session(name, *((step, "SELECT 1") for step in names[place::2])) for place, name in enumerate(NAMES)]
    case = case_of(sessions, names)
    recorder = bench.harness(case, hosts.places(case.scenario.sessions, ()) if hosts else None)
    return [event for event in recorder.events if event.kind in ENDINGS]


def one_round(bench: Bench, hosts: Hosts, specs: Sequence[str]) -> Round:
    """Everything once."""
    far, near = ended(bench, hosts), ended(bench, None)
    there = [(event.host_ended or 0.0) - (event.host_began or 0.0) for event in far]
    took = [event.seconds or 0.0 for event in far]
    return Round(
        step=median_ms(took),
        there=median_ms(there),
        coordination=median_ms([whole - part for whole, part in zip(took, there, strict=True)]),
        bare=bare(specs),
        here=median_ms([event.seconds or 0.0 for event in near]),
    )


def measure(rounds: int, specs: Sequence[str]) -> str:
    """The table, as Markdown."""
    run = new_run_id()
    servers = open_servers("embedded", run_id=run, owner_pid=os.getpid(), root=Path(tempfile.gettempdir()), environ={})
    databases, hosts = Databases(servers, run), Hosts(host_specs(specs))
    try:
        hosts.connect()
        here, clients = hosts.addresses
        if here:
            servers.listen(here, clients)
        bench = Bench(databases.make("promptsales", ["read committed"]))
        ended(bench, hosts)  # warm
        made = [one_round(bench, hosts, specs) for _ in range(rounds)]
    finally:
        hosts.close()
        databases.close()
        servers.stop()
    return table(made)


def table(made: Sequence[Round]) -> str:
    """Medians of the rounds, and the ratios to the bare channel."""

    def row(title: str, values: Sequence[float], to_bare: bool = True) -> str:
        ratios = sorted(value / one.bare for value, one in zip(values, made, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})" if to_bare else "1"
        return f"| {title} | {statistics.median(values):.3f} | {spread} |"

    return "\n".join(
        [
            "| a `SELECT 1`, medians | ms | ratio to the bare channel, median of rounds (min to max) |",
            "|---|---|---|",
            row("the bare channel: one item there and back over ssh", [one.bare for one in made], to_bare=False),
            row("coordination of a step on another machine", [one.coordination for one in made]),
            row("the whole step on another machine", [one.step for one in made]),
            row("of it, by that machine's clock, in the driver and the server", [one.there for one in made]),
            row("the whole step of a session here", [one.here for one in made]),
        ]
    )


@contextlib.contextmanager
def machines(given: Sequence[str]) -> object:
    """The texts of --tx: those that were given, or two namespaces."""
    if given:
        yield given
        return
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from namespaces import Network, Refused

    try:
        network = Network()
    except Refused as reason:
        raise SystemExit(f"no namespaces here: {reason}; give two machines by --tx") from None
    with network:
        os.environ["PATH"] = network.environment["PATH"]
        yield [f"ssh={pc.name}" for pc in network.pcs]


def main() -> None:
    """Measure, and print; with --table also write between the marks of a Markdown file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, help="a Markdown file with <!-- two_hosts --> and <!-- end --> lines")
    parser.add_argument(
        "--tx", action="append", default=[], help="a machine; namespaces stand for two if none is given"
    )
    given = parser.parse_args()
    with machines(given.tx) as specs:
        text = measure(given.rounds, specs)
    print(text)
    if given.table:
        renew(given.table, "two_hosts", text)


if __name__ == "__main__":
    main()
