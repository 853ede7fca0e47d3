"""``harness kubernetes``: Secrets for a cluster, runs in it, and what they leave fetched; see docs/kubernetes.md."""

from __future__ import annotations

import typer

from harness.errors import DataError
from harness.kubernetes_runs_cli import agent, fetch, run

app = typer.Typer(no_args_is_help=True, help="PromptSales on Kubernetes; see docs/kubernetes.md.")


@app.command()
def secrets() -> None:
    """Print the Secrets that the manifests name, freshly made: for kubectl apply -f -."""
    raise DataError("not written yet")


app.command()(run)
app.command()(fetch)
app.command()(agent)
