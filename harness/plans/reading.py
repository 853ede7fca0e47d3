"""From the engine's own plan to ours: one door for all engines, and whether measured or only estimated."""

from __future__ import annotations

from harness.errors import EngineError, did_you_mean
from harness.plans.model import Plan
from harness.plans.reading_mongodb import read_mongodb
from harness.plans.reading_postgresql import read_postgresql
from harness.plans.reading_sqlserver import read_sqlserver

_READERS = {"postgresql": read_postgresql, "sqlserver": read_sqlserver, "mongodb": read_mongodb}


def read_plan(engine: str, text: str) -> Plan:
    """A plan as the engine gave it, in the model of all engines; one that was not run has no actual rows and no times.

    Raises EngineError, in one line, if the text is no plan of that engine.
    """
    if engine not in _READERS:
        raise EngineError(f"no plans are read of {engine!r}{did_you_mean(engine, _READERS)}: {', '.join(_READERS)}")
    try:
        return _READERS[engine](text)
    except EngineError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        what = " ".join(str(error).split())[:120]
        raise EngineError(f"not a plan of {engine}: {type(error).__name__}: {what}; it begins {_begin(text)}") from None


def _begin(text: str) -> str:
    return repr(" ".join(str(text)[:200].split())[:60])
