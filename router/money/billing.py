"""What a call has cost: the provider's usage at the catalogue's prices, or an estimate that is marked as one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policies.cost import cost_nano
from policies.types import Prices
from router.upstream.types import Usage

# English takes about four characters a token; where a provider reports nothing, that is the best guess there is.
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one call has cost.

    Attributes:
        cost_nano: nano-dollars.
        prices: what it was billed at.
        usage: the tokens that were billed; every part is a number.
        estimated: True where the provider's report was missing or impossible.
    """

    cost_nano: int
    prices: Prices
    usage: Usage
    estimated: bool


def bill(prices: Prices, usage: Usage, *, input_chars: int, output_chars: int) -> Bill:
    """The bill of a call.

    Args:
        prices: the model's, as they stood at the decision.
        usage: as reported; None in it means "not reported", which is not zero.
        input_chars, output_chars: characters sent and produced, to estimate what was not reported.
    """
    used = Usage(
        input=_or_estimate(usage.input, input_chars),
        cached_read=usage.cached_read or 0,
        cached_write=usage.cached_write or 0,
        output=_or_estimate(usage.output, output_chars),
        reasoning=usage.reasoning,
    )
    try:
        return Bill(cost_nano=_price(prices, used), prices=prices, usage=used, estimated=not usage.reported)
    except ValueError:  # parts larger than their whole: bill the whole, without the parts
        whole = Usage(input=max(0, used.input or 0), cached_read=0, cached_write=0, output=max(0, used.output or 0))
        return Bill(cost_nano=_price(prices, whole), prices=prices, usage=whole, estimated=True)


def with_lost(charge: Bill, lost_nano: int) -> Bill:
    """The bill of a request whose earlier attempts may have cost so much (nano-dollars): marked as an estimate then."""
    if not lost_nano:
        return charge
    return replace(charge, cost_nano=charge.cost_nano + lost_nano, estimated=True)


def _or_estimate(reported: int | None, chars: int) -> int:
    return -(-chars // CHARS_PER_TOKEN) if reported is None else reported


def _price(prices: Prices, usage: Usage) -> int:
    return cost_nano(
        prices,
        input_tokens=usage.input or 0,
        output_tokens=usage.output or 0,
        cached_read=usage.cached_read or 0,
        cached_write=usage.cached_write or 0,
        reasoning=usage.reasoning,
    )
