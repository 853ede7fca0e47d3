"""``harness spec``: isolation specifications on the command line, run as pg_isolation_regress does, or written as YAML."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import ScenarioError, StoreError
from harness.terminal import progress, short, tell

if TYPE_CHECKING:
    from harness.scenario.model import Case
    from harness.spec_pool import Outcome, Task
    from harness.suite import Suite

app = typer.Typer(help="Run PostgreSQL's isolation specifications (*.spec).", no_args_is_help=True)

SHOWN = 60
"""Lines of a difference that are printed."""


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="specifications, or folders of them", metavar="DIR|FILE...")],
    expected: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="the expected outputs, NAME.out (default: the folder 'expected' beside theirs)"
        ),
    ] = None,
    servers: Annotated[
        str | None, typer.Option(metavar="KIND", help="embedded (default), containers, external")
    ] = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="the folder where evidence is kept")] = Path("results"),
    number: Annotated[int, typer.Option("-n", min=1, help="so many processes share the specifications")] = 1,
    match: Annotated[str, typer.Option("--match", "-k", help="only specifications whose name holds this text")] = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="write each output to NAME.out there, and NAME.diff if it differs"),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="S", help="seconds a step may take (default: 2 x PG_TEST_TIMEOUT_DEFAULT, which is 180)"),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="where no output is expected, take the one that was printed as expected")
    ] = False,
) -> None:
    """Run specifications and compare what they print, byte for byte. Exit code 1 if one fails, or none was run."""
    from harness.scenario.files import step_timeout
    from harness.spec_pool import Task
    from harness.suite import Settings, Suite

    found = _found(files)
    chosen = [file for file in found if match in file.stem]
    task = Task(expected, step_timeout(timeout, os.environ))
    if expected is not None and not expected.is_dir() and not accept:
        raise ScenarioError(f"{expected}: there is no such folder")
    if out is not None:
        _prepare(out, chosen)
    suite = Suite(Settings(root=Path.cwd(), results=results.resolve(), mode=servers))
    told = _Telling(suite, max((len(file.stem) for file in chosen), default=0), task.expected, out, accept)
    page = None
    try:
        with closing(_outcomes(suite, task, chosen, number, told)) as outcomes:
            for outcome in outcomes:
                told.outcome(outcome)
    except KeyboardInterrupt:
        tell(f"harness: interrupted: {told.count.total()} of {len(chosen)} specifications were run", error=True)
        raise
    finally:
        with progress("gathering the evidence"):
            page = suite.finish({"arguments": sys.argv[1:]})
    for line in suite.databases.swept:
        tell(f"dropped what a run that died had left: {line}")
    if found and not chosen:
        tell(f"no specification has {match!r} in its name; the first one is {found[0].stem}")
    if told.count["skip"]:
        tell(f"{told.count['skip']} skipped" + (": none was run" if told.count["skip"] == len(chosen) else ""))
    if page is not None:
        tell(f"evidence: {short(page.parent)}  report: {short(page)}")
    tell(f"{told.count['ok']} passed, {told.count['FAIL']} failed")
    raise typer.Exit(1 if told.count["FAIL"] or not told.count["ok"] else 0)


def _found(given: list[Path]) -> list[Path]:
    """The specifications, each once. Raises ScenarioError if a path is not there; a folder without any is told."""
    from harness.scenario.files import SPEC
    from harness.specs import spec_files

    made: list[Path] = []
    for path in given:
        if path.is_dir() and not any(path.glob(f"*{SPEC}")):
            tell(f"harness: {path}: there is no {SPEC} file in it", error=True)
        else:
            made += spec_files(path)
    return list({file.resolve(): file for file in made}.values())


def _prepare(out: Path, files: list[Path]) -> None:
    twice = [name for name, times in Counter(file.stem for file in files).items() if times > 1]
    if twice:
        raise ScenarioError(f"--out: two specifications are called {twice[0]}, and would write to one file")
    probe = out / f".{os.getpid()}.part"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"{out} cannot be written to: {error.strerror or error}; give another folder by --out"
        ) from None


def _outcomes(
    suite: Suite, task: Task, files: list[Path], number: int, told: _Telling
) -> Generator[Outcome, None, None]:
    """Run them, the one with the most permutations first if several processes share them."""
    from harness.spec_pool import Outcome, Pool, run_here

    specs = task.specs(suite)
    readable: dict[Path, int] = {}
    wanted: list[Case] = []
    for file in files:
        try:
            specification = specs.read(file)
        except ScenarioError as error:
            yield Outcome(file, problem=str(error))
            continue
        for step in specification.scenario.unused_steps:
            tell(f"warning: {file}: step {step!r} is used in no permutation", error=True)
        readable[file] = len(specification.cases)
        wanted += specification.cases[:1]
    with progress("starting servers"):
        suite.prefetch(wanted)
    number = min(number, len(readable))
    if number < 2:
        source, running = run_here(suite, task, list(readable)), deque(readable)
        outcomes = _one_by_one(source, lambda: running.popleft().stem if running else "")
    else:
        pool = Pool(suite, task, deque(sorted(readable, key=lambda file: -readable[file])), number)
        outcomes = _one_by_one(
            pool.outcomes(),
            lambda: f"{told.count.total()} of {len(files)} run" + "".join(f"  {name}" for name in pool.running),
        )
    yield from outcomes


def _one_by_one(source: Generator[Outcome, None, None], now: Callable[[], str]) -> Generator[Outcome, None, None]:
    """The outcomes; while one is waited for, a terminal shows what is run ``now``."""
    with closing(source):
        while True:
            with progress(now()):
                outcome = next(source, None)
            if outcome is None:
                return
            yield outcome


@dataclass(slots=True)
class _Telling:
    """Prints what becomes of each specification, and writes the files that were asked for."""

    suite: Suite
    width: int  # of the longest name
    expected: Path | None
    out: Path | None
    accept: bool
    count: Counter[str] = field(default_factory=Counter)

    def outcome(self, outcome: Outcome) -> None:
        """Say it. Raises StoreError if a file cannot be written."""
        name = outcome.file.stem
        ran = ""
        if outcome.output is not None:
            plural = "" if outcome.permutations == 1 else "s"
            ran = f"   {outcome.permutations} permutation{plural}   {outcome.seconds * 1000:.0f} ms"
        problem, accepted = outcome.problem, None
        if self.accept and not outcome.expected and outcome.completed:
            accepted = self._accept(outcome)
            problem = ""
        mark = "skip" if outcome.skipped else "FAIL" if problem else "ok"
        self.count[mark] += 1
        said = outcome.skipped or problem or (f"accepted as {short(accepted)}" if accepted else "")
        tell(f"{mark:4} {name:{self.width}}{ran}" + (f"   {said}" if said else ""))
        self._write_out(outcome)
        if problem:
            self._difference(outcome)

    def _accept(self, outcome: Outcome) -> Path:
        from harness.scenario.files import expected_folder

        file = (self.expected or expected_folder(outcome.file)) / f"{outcome.file.stem}.out"
        _write(file, outcome.output or "", "x")
        return file

    def _write_out(self, outcome: Outcome) -> None:
        if self.out is None:
            return
        difference = self.out / f"{outcome.file.stem}.diff"
        if outcome.output is not None:
            _write(self.out / f"{outcome.file.stem}.out", outcome.output)
        if outcome.difference:
            _write(difference, _text(outcome.difference))
        else:
            difference.unlink(missing_ok=True)  # of a run before

    def _difference(self, outcome: Outcome) -> None:
        lines = outcome.difference
        if lines:
            tell(_text(lines[:SHOWN]).rstrip("\n"))
        if len(lines) > SHOWN:
            folder = self.out or self.suite.store.folder
            file = folder / f"{outcome.file.stem}.diff"
            if self.out is None:
                _write(file, _text(lines))
            tell(f"... {len(lines) - SHOWN} more lines: {short(file)}")
        if outcome.evidence:
            more = len(outcome.evidence) - 1
            tell(f"evidence: {short(outcome.evidence[0])}" + (f" and {more} more" if more else ""))
        if not outcome.expected and outcome.completed:
            tell(f"to take what it printed as expected: harness spec run --accept {short(outcome.file)}")


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _write(file: Path, text: str, mode: str = "w") -> None:
    """The bytes that the server sent, whatever encoding they were in. ``mode`` "x": only if it is not there."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open(f"{mode}b") as stream:
            stream.write(text.encode(errors="surrogateescape"))
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror or error}") from None


@app.command("to-yaml")
def to_yaml(
    file: Annotated[Path, typer.Argument(help="a specification", metavar="FILE")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="where to write it (default: stdout)")] = None,
) -> None:
    """Write a specification as a YAML scenario, with its expected outputs if there is a folder of them beside its own."""
    from harness.scenario.files import known_outputs
    from harness.scenario.spec_load import load_spec
    from harness.scenario.spec_yaml import to_yaml as written

    text = written(load_spec(file, known_outputs(file)))
    if output is not None:
        _write(output, text)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())  # YAML is UTF-8, whatever the terminal is
    sys.stdout.buffer.flush()
