"""pytest's door for Kubernetes: the cluster that tests marked ``kubernetes`` use, and nobody else."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which cluster, which images, which parts."""
    group = parser.getgroup("promptsales-harness")
    group.addoption(
        "--kube-context", metavar="NAME", help="the context of kubectl whose cluster tests marked kubernetes use"
    )
    group.addoption(
        "--kube-image",
        metavar="NAME:TAG",
        help="the harness's image, which the nodes must have (default: $PROMPTSALES_KUBE_IMAGE, else the overlay's)",
    )
    group.addoption(
        "--kube-parts",
        metavar="PART,PART",
        default="",
        help="only these servers of the overlay, e.g. postgresql,redis (default: all; SQL Server with ACCEPT_EULA=Y only)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks."""
    config.addinivalue_line("markers", "kubernetes: PromptSales in a cluster; needs --kube-context")
    config.addinivalue_line("markers", "k8s_manifests: what the manifests say; needs no cluster")
