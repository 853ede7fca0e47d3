"""What the harness and a Locust that it starts tell each other. Imports no Locust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.load.plan import Plan

VARIABLE = "PROMPTSALES_LOAD_CHILD"
MARK = "\x1epsh "
"""A line of Locust's output that begins so says, in JSON, how far it is,"""

RESULT = "\x1eresult "
"""and one that begins so, what came of it: a LoadResult. There is no file that somebody would have to put away."""


@dataclass(frozen=True, slots=True)
class Told:
    """The run's id, the plan, which databases are stand-ins (of what): a URL does not say that.

    Who is told so ends when its standard input does.
    """

    run: str
    plan: Plan
    stand_ins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Told | None:
        """From the environment; None if it was somebody else who started this process."""
        text = environ.get(VARIABLE)
        if not text:
            return None
        said = json.loads(text)
        return cls(said["run"], Plan.from_json(said["plan"]), said["stand_ins"])

    def as_environ(self) -> dict[str, str]:
        """For the environment."""
        said = {
            "run": self.run,
            "plan": self.plan.to_json(),
            "stand_ins": dict(self.stand_ins),
        }
        return {VARIABLE: json.dumps(said)}
