"""``harness kubernetes``: Secrets for a cluster, runs in it, and what they leave fetched; see docs/kubernetes.md."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import DataError
from harness.kubernetes_runs_cli import agent, fetch, run, watch
from harness.terminal import tell

app = typer.Typer(no_args_is_help=True, help="PromptSales on Kubernetes; see docs/kubernetes.md.")


@app.command()
def secrets(
    accept_eula: Annotated[
        bool,
        typer.Option("--accept-eula", help="you accept SQL Server's licence (or ACCEPT_EULA=Y in the environment)"),
    ] = False,
    namespace: Annotated[str, typer.Option("--namespace", help="where they are for")] = "promptsales",
    existing: Annotated[
        Path | None,
        typer.Option(
            "--existing",
            metavar="FILE",
            help="what 'kubectl get secrets -o json' gave: it stays, only what is missing is made; - is stdin",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="print them on a terminal, too")] = False,
) -> None:
    """Print the Secrets that the manifests name, freshly made: for kubectl apply --server-side -f -.

    Without --server-side kubectl would write each Secret once more into an annotation of it.
    """
    import yaml

    from harness.kubernetes.secrets import as_list, make_secrets, read_kept

    if sys.stdout.isatty() and not show:
        raise DataError(f"these are secrets, and a terminal remembers: {_again(namespace)} (or --show)")
    kept = read_kept(_text(existing)) if existing is not None else {}
    licence = accept_eula or os.environ.get("ACCEPT_EULA", "").upper() in ("Y", "YES")
    made = make_secrets(licence=licence, kept=kept)
    if "sqlserver-licence" not in made:
        tell(
            "SQL Server's licence was not accepted, so its pods will wait: read "
            f"https://go.microsoft.com/fwlink/?LinkId=746388, then {_again(namespace, ' --accept-eula')}",
            error=True,
        )
    if existing is None:
        tell(
            "all of these are new: servers that have begun with others will not take them; "
            f"to keep what is there: {_again(namespace)}",
            error=True,
        )
    print(yaml.safe_dump(as_list(made, namespace), sort_keys=False, allow_unicode=True), end="")


def _again(namespace: str, more: str = "") -> str:
    """What to type so that what is there already stays."""
    return (
        f"kubectl -n {namespace} get secrets -o json "
        f"| harness kubernetes secrets --namespace {namespace} --existing -{more} "
        "| kubectl apply --server-side -f -"
    )


def _text(file: Path) -> str:
    """Raises DataError."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise DataError(f"--existing {file} cannot be read: {reason}") from None


app.command()(run)
app.command()(watch)
app.command()(fetch)
app.command()(agent)
