"""What a call has cost: the provider's usage at the catalogue's prices, or an estimate that is marked as one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from policies.cost import cost_nano
from policies.types import Prices
from router.upstream.types import Usage

# Where a provider reports nothing, this is the best guess there is: English takes about four characters a token, which
# are bytes; Chinese less than two of three bytes each, so that its characters alone would be a third of the truth.
BYTES_PER_TOKEN = 4


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
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


def bill(prices: Prices, usage: Usage, *, input_bytes: int, output_bytes: int) -> Bill:
    """The bill of a call.

    Args:
        prices: the model's, as they stood at the decision.
        usage: as reported; None in it means "not reported", which is not zero.
        input_bytes, output_bytes: of text sent and produced, in UTF-8, to estimate what was not reported.
    """
    sent, made = _or_estimate(usage.input, input_bytes), _or_estimate(usage.output, output_bytes)
    read, written = usage.cached_read or 0, usage.cached_write or 0
    used = Usage(input=sent, cached_read=read, cached_write=written, output=made, reasoning=usage.reasoning)
    try:
        cost = cost_nano(
            prices,
            input_tokens=sent,
            output_tokens=made,
            cached_read=read,
            cached_write=written,
            reasoning=usage.reasoning,
        )
    except ValueError:  # parts larger than their whole: bill the whole, without the parts
        sent, made = max(0, sent), max(0, made)
        whole = Usage(input=sent, cached_read=0, cached_write=0, output=made)
        cost = cost_nano(prices, input_tokens=sent, output_tokens=made)
        return Bill(cost_nano=cost, prices=prices, usage=whole, estimated=True)
    return Bill(cost_nano=cost, prices=prices, usage=used, estimated=not usage.reported)


def with_lost(charge: Bill, lost_nano: int) -> Bill:
    """The bill of a request whose earlier attempts may have cost so much (nano-dollars): marked as an estimate then."""
    if not lost_nano:
        return charge
    return replace(charge, cost_nano=charge.cost_nano + lost_nano, estimated=True)


def _or_estimate(reported: int | None, size: int) -> int:
    return -(-size // BYTES_PER_TOKEN) if reported is None else reported
