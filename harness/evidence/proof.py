"""The parts that proofs are made of: an anomaly with the operations that show it, and words for values and versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.model import Anomaly
from harness.evidence.transactions import Op, Transaction, Version
from harness.vocabulary import ADYA, Phenomenon

INITIAL = "the initial version"


@dataclass(frozen=True, slots=True)
class Finding:
    """An anomaly and the transactions between which it happened."""

    anomaly: Anomaly
    involved: tuple[Transaction, ...]


def finding(
    phenomenon: Phenomenon, involved: Sequence[Transaction], ops: Sequence[Op], proof: list[str], adya: str = ""
) -> Finding:
    """The anomaly that ``ops`` prove, in the order in which they happened."""
    ordered = sorted({op.event: op for op in ops}.values(), key=lambda op: op.event)
    anomaly = Anomaly(
        phenomenon=phenomenon,
        adya=adya or ADYA[phenomenon],
        sessions=list(dict.fromkeys(transaction.session for transaction in involved)),
        steps=[op.step for op in ordered],
        events=[op.event for op in ordered],
        proof=proof,
    )
    return Finding(anomaly, tuple(involved))


def shown(value: object) -> str:
    """A value as a proof names it."""
    if value is None:
        return "nothing"
    return repr(value) if isinstance(value, str) else str(value)


def wrote(write: Op) -> str:
    """`` = 5``, if the value that a write left is known."""
    return f" = {shown(write.value)}" if write.known else ""


def whose(version: Version | None) -> str:
    """Whose version it is."""
    if version is None or version.write is None:
        return INITIAL
    return f"the version that {version.write.transaction.name} wrote in {version.write.step}"
