"""What the terminal shows of an exploration: what came out how often, what was spared and why not more, what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table

from harness.exploring.model import Counterexample, Exploration, Kind, Outcome, Proof, Shrunk
from harness.report.words import clean, counted, elapsed
from harness.terminal import say

MOST_OUTCOMES = 12
"""Outcomes that are shown; the file has them all."""

MOST_PAIRS = 24
"""Pairs of conflicting steps that are shown."""


def show(console: Console, made: Exploration) -> None:
    """Print an exploration: how many ran, the outcomes with an example each, why the others could not be spared."""
    for line in headline(made):
        say(console, clean(line))
    if made.outcomes:
        say(console, "")
        console.print(_outcomes(made))
    for name, problem in list(made.problems.items())[:MOST_OUTCOMES]:
        say(console, clean(f"{name} could not be run: {problem}"))
    if made.conflicts:
        say(console, "")
        say(console, "not spared, because these steps conflict:")
        for line in _pairs(made):
            say(console, clean(line))
    for note in made.notes:
        say(console, clean(f"note: {note}"))


def headline(made: Exploration) -> Iterator[str]:
    """What was run, in a line or two: ``70 interleavings; 12 run; 58 spared (…)``."""
    yield f"{made.case}: {made.title}"
    text = f"{counted(made.total, 'interleaving')}; {made.run:,} run"
    if made.spared:
        text += f"; {made.spared:,} spared (they differ only in the order of steps that cannot conflict)"
    elif made.kind is Kind.random:
        text += f", drawn at random with seed {made.seed}"
    if made.rounds > 1:
        text += f"; in {made.rounds} rounds, as the server told of conflicts that the statements do not show"
    yield text
    if made.interrupted:
        yield f"interrupted: {made.run:,} of {made.planned:,} were run"
    ran = sum(one.runs for one in made.outcomes) + len(made.problems)  # a proof has run those that were spared, too
    rate = f", {ran / made.seconds:.1f} a second" if ran and made.seconds else ""
    by = f" by {made.processes} processes" if made.processes > 1 else ""
    failing = f"{made.failing:,} of {ran:,} failing" if made.failing else "none failing"
    yield f"{failing}; {elapsed(made.seconds)}{rate}{by}"


def _outcomes(made: Exploration) -> RenderableType:
    ran = sum(one.runs for one in made.outcomes)
    different = f"{len(made.outcomes)} different outcomes" if len(made.outcomes) > 1 else "one outcome"
    table = Table(title=f"{different} in {counted(ran, 'interleaving')}", title_justify="left", expand=False)
    table.add_column("", no_wrap=True)
    table.add_column("times", justify="right")
    table.add_column("what happened", overflow="fold")
    table.add_column("for example", overflow="fold")
    for one in made.outcomes[:MOST_OUTCOMES]:
        mark = "✓" if one.status == "passed" else "✗"
        table.add_row(mark, f"{one.runs:,}", clean(_happened(one)), clean(f"{one.example}: {' '.join(one.order)}"))
    if len(made.outcomes) > MOST_OUTCOMES:
        table.caption = f"… and {len(made.outcomes) - MOST_OUTCOMES} more in the file"
    return table


def _happened(one: Outcome) -> str:
    return f"{one.words}\n{one.summary}" if one.words and one.status != "passed" else one.words or one.summary


def _pairs(made: Exploration) -> Iterator[str]:
    reasons: dict[tuple[str, bool], list[str]] = {}
    for pair in made.conflicts:
        reasons.setdefault((pair.why, pair.learned), []).append(f"{pair.first} – {pair.second}")
    width = min(max((len(pairs[0]) for pairs in reasons.values()), default=0), 40)
    for (why, learned), pairs in list(reasons.items())[:MOST_PAIRS]:
        shown = ", ".join(pairs[:6]) + (f", … {len(pairs) - 6} more" if len(pairs) > 6 else "")
        yield f"  {shown:{width}}   {why}" + (" (the server told)" if learned else "")
    if len(reasons) > MOST_PAIRS:
        yield f"  … and {len(reasons) - MOST_PAIRS} more reasons in the file"


def proof_lines(proof: Proof, total: int) -> Iterator[str]:
    """What ``--prove`` found."""
    if proof.counterexample is None:
        spared = counted(proof.checked, "spared interleaving")
        yield f"proved: none of the {spared} behaved differently: {total:,} run, {proof.classes:,} classes"
        return
    yield from _counterexample(proof.counterexample)


def _counterexample(found: Counterexample) -> Iterator[str]:
    yield "refuted: two interleavings that were taken for the same behave differently"
    yield f"  {found.first}: {' '.join(found.first_order)}"
    yield f"  {found.second}: {' '.join(found.second_order)}"
    for one in found.differences:
        yield f"    {one.fact}: {one.first}   ≠   {one.second}"
    if not found.stable:
        yield "  one of them does not do the same each time: what it depends on is not the order of its steps"


def shrunk_lines(made: Shrunk, short: Callable[[Path], str]) -> Iterator[str]:
    """What shrinking gave: the sizes, the smallest schedule, where it was written and how to run it."""
    ran = f"{counted(made.runs, 'run')}, {elapsed(made.seconds)}"
    if made.notes and made.file is None:
        yield f"no smallest schedule ({', '.join(made.wanted)}): {'; '.join(made.notes)}"
        return
    yield f"smallest failing ({', '.join(made.wanted)}): {made.before} → {made.after}; {ran}"
    yield f"  {' '.join(entry.step for entry in made.schedule.entries)}"
    if 0 < made.confirmed < made.confirmations:
        of = f"{made.confirmed} of {made.confirmations}"
        yield f"  it failed in {of} runs: what happens does not depend on the order alone"
    if made.file is not None:
        again = {True: "; replayed: the same", False: "; REPLAYED: it does not happen again", None: ""}[made.replayed]
        yield f"  written to {short(made.file)}{again}"
        yield f"  run it: harness run {short(made.file)}"
    for note in made.notes:
        yield f"  note: {note}"
