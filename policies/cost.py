"""What tokens cost. The only place where tokens become money.

All arithmetic is on integers: a price is nano-dollars per million tokens, so tokens x price is nano-dollars x 10^6,
summed exactly and rounded half up once, at the very end.
"""

from __future__ import annotations

from policies.types import NANO_PER_USD, Model, PriceRule, Prices

PER_PRICE = 1_000_000  # prices are per million tokens
_HALF = PER_PRICE // 2
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday


def cost_nano(
    prices: Prices,
    *,
    input_tokens: int,
    output_tokens: int,
    cached_read: int = 0,
    cached_write: int = 0,
    reasoning: int | None = None,
    reasoning_inside: bool = True,
) -> int:
    """Cost of one call's usage in nano-dollars.

    Args:
        prices: the price list in force.
        input_tokens: all prompt tokens, those read from and written to the provider's cache included.
        output_tokens: tokens produced.
        cached_read: the part of `input_tokens` that came out of the cache.
        cached_write: the part of `input_tokens` that went into it.
        reasoning: tokens spent on thinking, or None where the provider does not report them (they are then
            billed as part of the output, which holds them).
        reasoning_inside: whether `output_tokens` holds `reasoning` (OpenAI, Anthropic) or stands beside it
            (Gemini).

    Raises:
        ValueError: a count is negative, or a part is larger than its whole.
    """
    thought = reasoning or 0
    answer = output_tokens - thought if reasoning_inside else output_tokens
    fresh = input_tokens - cached_read - cached_write
    if min(fresh, cached_read, cached_write, answer, thought) < 0:
        raise ValueError(
            f"impossible usage: input {input_tokens} (cached: {cached_read} + {cached_write}), "
            f"output {output_tokens}, reasoning {reasoning}: a count below 0, or a part above its whole"
        )
    micro = (
        fresh * prices.input
        + cached_read * _or(prices.cache_read, prices.input)
        + cached_write * _or(prices.cache_write, prices.input)
        + answer * prices.output
        + thought * _or(prices.reasoning, prices.output)
    )
    return (micro + _HALF) // PER_PRICE


def expected_nano(prices: Prices, *, input_tokens: int, answer: int, thinking: int, choices: int = 1) -> int:
    """Expected cost of a call: the prompt once, and answer and thinking tokens for each choice."""
    produced = answer * prices.output + thinking * _or(prices.reasoning, prices.output)
    return (input_tokens * prices.input + choices * produced + _HALF) // PER_PRICE


def worst_nano(prices: Prices, *, input_tokens: int, max_tokens: int, choices: int = 1) -> int:
    """The most that a call can cost: every prompt token at its dearest, every choice filled to `max_tokens`.

    `max_tokens` holds thinking and answer together, and thinking may eat all of it where the allowance is
    advisory;
    so the whole of it counts at the dearer of the two prices. Rounded up: a hold must not be short by a half.
    """
    return -(-(input_tokens * dearest_input(prices) + choices * max_tokens * dearest_output(prices)) // PER_PRICE)


def prices_at(model: Model, *, input_tokens: int, now_s: float | None = None) -> Prices:
    """The prices in force for a prompt of this length at this time.

    Args:
        model: whose prices.
        input_tokens: length of the prompt. Where a longer prompt has other prices, they hold for all of it.
        now_s: seconds since the epoch; None leaves out the rules that depend on the time.
    """
    for rule in model.price_rules:
        if input_tokens >= rule.from_input_tokens and _in_force(rule, now_s):
            return rule.prices
    return model.prices


def _in_force(rule: PriceRule, now_s: float | None) -> bool:
    if now_s is None:
        return rule.hours_utc is None and rule.weekdays is None
    day, second = divmod(int(now_s), 86_400)
    on_day = rule.weekdays is None or (day + _EPOCH_WEEKDAY) % 7 in rule.weekdays
    return on_day and (rule.hours_utc is None or _between(*rule.hours_utc, hour=second // 3600))


def _between(first: int, last: int, *, hour: int) -> bool:
    """Whether an hour lies from the first to before the last, over midnight where the first is the larger."""
    return first <= hour < last if first <= last else hour >= first or hour < last


def dearest_input(prices: Prices) -> int:
    """The highest price that a prompt token may be billed at: fresh, read from the cache or written to it."""
    return max(prices.input, prices.cache_write or 0, prices.cache_read or 0)


def dearest_output(prices: Prices) -> int:
    """The highest price that a produced token may be billed at."""
    return max(prices.output, prices.reasoning or 0)


def usd(nano: int) -> str:
    """Nano-dollars as a decimal string of dollars, exact, without trailing zeros beyond two places.

    >>> usd(7_100_000), usd(50_000_000), usd(-1)
    ('0.0071', '0.05', '-0.000000001')
    """
    if nano < 0:
        return f"-{usd(-nano)}"
    digits = f"{nano % NANO_PER_USD:09d}"
    return f"{nano // NANO_PER_USD}.{digits[:2]}{digits[2:].rstrip('0')}"


def _or(price: int | None, instead: int) -> int:
    return instead if price is None else price
