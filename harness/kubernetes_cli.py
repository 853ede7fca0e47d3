"""``harness kubernetes``: Secrets for a cluster, runs in it, and what they leave fetched; see docs/kubernetes.md."""

from __future__ import annotations

import typer

from harness.errors import DataError

app = typer.Typer(no_args_is_help=True, help="PromptSales on Kubernetes; see docs/kubernetes.md.")


@app.command()
def secrets() -> None:
    """Print the Secrets that the manifests name, freshly made: for kubectl apply -f -."""
    raise DataError("not written yet")
