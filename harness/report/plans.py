"""Stub."""

from __future__ import annotations

from collections.abc import Callable

from harness.plans.model import Plan, PlanPair


def pair_svg(pair: PlanPair) -> str:
    """Stub."""
    return "<svg/>"


def plan_svg(plan: Plan, title: str) -> str:
    """Stub."""
    return "<svg/>"


PICTURES: dict[str, Callable[[PlanPair], str]] = {"plans.svg": pair_svg}
