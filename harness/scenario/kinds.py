"""What a YAML file declares: a scenario, pairs of plans, load, or a random workload. Its topmost keys say which."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import yaml


class Kind(StrEnum):
    """By what a file is read."""

    scenario = "scenario"
    plans = "plans"
    load = "load"
    workload = "workload"


def kind_of(file: Path) -> Kind:
    """The kind of a file; what cannot be read, or is none of them, is a scenario: its loader says what is wrong."""
    try:
        with file.open(encoding="utf-8") as text:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        return Kind.scenario
    if not isinstance(root, yaml.MappingNode):
        return Kind.scenario
    keys = {key.value for key, _ in root.value}
    if Kind.workload.value in keys:
        return Kind.workload  # which says how many sessions, too
    if "sessions" in keys:
        return Kind.scenario
    return next((kind for kind in (Kind.plans, Kind.load) if kind.value in keys), Kind.scenario)
