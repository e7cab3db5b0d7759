"""The section of the decision log, with the operator's own checks of answers."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from policies.log_schema import is_source
from router.configuration.section import CHECKER, Probability, Section, refuse_duplicates


class CheckerSettings(Section):
    """A check of answers by the operator's own program; see docs/guides/learning.md."""

    name: Annotated[str, Field(pattern=CHECKER)]
    # An entry point of the group `rung.checkers`; or, instead, a command that reads JSON and writes a score.
    entry_point: str | None = None
    command: list[str] | None = None
    reliability: Probability = 0.9
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    # The share of answers that it looks at, and whose; none: all tenants'.
    sample: Probability = 1.0
    tenants: list[str] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.entry_point is None) == (not self.command):
            raise ValueError(f"checker `{self.name}`: give `entry_point` or `command`, one of them")
        return self


class LogSettings(Section):
    """The decision log: where it lies, how often it is written, how far each kind of outcome is believed."""

    # A folder, an fsspec URL such as s3://bucket/rung, or `off`. None: beside the private store, off for any other.
    url: str | None = None
    ship_every_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    keep_days: Annotated[int, Field(ge=0)] = 400
    # Of tenants that keep no texts: word runs of the questions as keyed hashes (policies.word_runs).
    word_runs: bool = True
    # source -> reliability, over the defaults of `router.outcomes.reliability`.
    reliability: dict[str, Probability] = Field(default_factory=dict[str, Probability])
    checkers: list[CheckerSettings] = Field(default_factory=list[CheckerSettings])

    @model_validator(mode="after")
    def _known(self) -> Self:
        for source in self.reliability:
            if not is_source(source):
                raise ValueError(f"reliability: `{source}` is no source (docs/guides/learning.md has all)")
        refuse_duplicates("checkers", [one.name for one in self.checkers])
        return self
