"""Every way in which a decision can be refused, in one tree; the gateway turns each into its own error.

PolicyError
├── UnknownModel     the named model is not in the catalogue
├── ModelDenied      it is, but this tenant may not use it
├── NoCandidate      every rung is rejected by the request's own constraints
│   └── TooLong      ... and for every model the reason is the length of the prompt
├── NotReachable     rungs are admissible, but none of their models can be called now
├── Unaffordable     the money left does not cover the worst case of any admissible rung
└── CatalogError     the catalogue or the policy itself is wrong: the operator must mend it
    └── NoPrice      a model has no price: it is never counted as free
"""

from __future__ import annotations

from collections.abc import Mapping


class PolicyError(Exception):
    """Base of all refusals. Messages say what to do about it and hold nothing secret."""


class UnknownModel(PolicyError):
    """The named model is not in the catalogue.

    Attributes:
        model: the name that was asked for.
    """

    def __init__(self, model: str) -> None:
        super().__init__(
            f"There is no model {model!r} here; GET /v1/models lists what there is, and `auto` lets Rung choose."
        )
        self.model = model


class ModelDenied(PolicyError):
    """The model exists, but the tenant's or the key's allow and deny lists exclude it.

    Attributes:
        model: the name that was asked for.
    """

    def __init__(self, model: str) -> None:
        super().__init__(f"This key may not use {model!r}; name another model or ask for it to be allowed.")
        self.model = model


class NoCandidate(PolicyError):
    """Every rung is rejected by the request's constraints.

    Attributes:
        reasons: per model id, why it is rejected and what would change that.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        listed = "; ".join(f"{model}: {reason}" for model, reason in reasons.items())
        super().__init__(f"No model fits this request. {listed}.")
        self.reasons = dict(reasons)


class TooLong(NoCandidate):
    """The prompt is longer than the context window of every model that may be used."""


class NotReachable(PolicyError):
    """Rungs are admissible, but no model that could serve them can be called now.

    Attributes:
        reasons: per model id, how to make it callable, for example `set OPENAI_API_KEY`.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        listed = "; ".join(f"{model}: {reason}" for model, reason in reasons.items())
        super().__init__(f"No model that could serve this can be called now. {listed}.")
        self.reasons = dict(reasons)


class Unaffordable(PolicyError):
    """The money left does not cover the worst case of any rung that could be called.

    Attributes:
        needed_nano: worst case of the least demanding rung, nano-dollars. remaining_nano: what is left.
    """

    def __init__(self, *, needed_nano: int, remaining_nano: int) -> None:
        super().__init__(
            f"This request may cost {needed_nano / 1e9:.9f} USD at the least, and the budget has "
            f"{remaining_nano / 1e9:.9f} USD left: raise it, wait for its next window, "
            "or ask for fewer output tokens."
        )
        self.needed_nano = needed_nano
        self.remaining_nano = remaining_nano


class CatalogError(PolicyError):
    """The catalogue or the policy contradicts itself; the message names the entry and the remedy."""


class NoPrice(CatalogError):
    """A model without a price cannot be put into a catalogue.

    Attributes:
        model: its id.
    """

    def __init__(self, model: str) -> None:
        super().__init__(
            f"Model {model!r} has no price: give `prices` with `input` and `output` (0 where it is free). "
            "A model without a price is never called."
        )
        self.model = model
