"""`rung route`: how a question would be routed, and why, without a running gateway and without a call."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from policies.errors import NotReachable
from policies.receipt import menu
from policies.types import Decision
from router.cli.dry import DryRun, open_dry_run
from router.cli.numbers import finite


def route(
    question: Annotated[str, typer.Argument(help="What a user might ask.")],
    quality: Annotated[
        float | None, typer.Option(min=0, max=1, callback=finite, help="The quality-cost dial, 0 to 1.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, callback=finite, help="Ceiling on this request's cost, dollars.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole menu as JSON.")] = False,
) -> None:
    """Show which rung a question deserves, what it would cost, and why no other.

    Example: rung route "Prove that there are infinitely many primes congruent to 3 modulo 4."
    """
    decision, quote = _quoted(open_dry_run(), question, quality, max_cost)
    if as_json:
        print(json.dumps(quote, indent=2))
    else:
        _tell(decision, quote)


def _quoted(
    dry: DryRun, question: str, quality: float | None, max_cost: float | None
) -> tuple[Decision, dict[str, Any]]:
    """The decision and its menu; where nothing can be called, those that there would be with keys, and what lacks."""
    try:
        decision = dry.decide(question, quality=quality, max_cost_usd=max_cost)
    except NotReachable as unreachable:
        decision = dry.with_all_callable().decide(question, quality=quality, max_cost_usd=max_cost)
        lacking = "; ".join(f"{model}: {reason}" for model, reason in unreachable.reasons.items())
        quote = menu(decision)
        rows = [{**row, "available": False} for row in quote["menu"]]
        return decision, {**quote, "served_by": None, "served": f"by nobody for now: {lacking}", "menu": rows}
    return decision, menu(decision)


def _tell(decision: Decision, quote: dict[str, Any]) -> None:
    difficulty = quote["difficulty"]
    print(f"difficulty  {difficulty['value']:.2f} (± {difficulty['uncertainty']:.2f}), {difficulty['kind']}")
    for reason in difficulty["reasons"][:3]:
        print(f"            {reason}")
    if (look := difficulty["second_look"]) is not None:
        _tell_second_look(look)
    preferred = decision.preferred
    thinking = f"{preferred.allowance} tokens of thinking" if preferred.allowance else "no thinking"
    print(f"choice      {preferred.tier}: {preferred.model}, {thinking}")
    print(f"served      {quote['served']}")
    for label, words in (
        ("why", decision.why),
        ("not cheaper", decision.why_not_cheaper),
        ("not better", decision.why_not_better),
    ):
        print(f"{label:<11} {words}")
    print(f"\n{'':2}{'model':<26}{'tier':<10}{'thinking':>9}{'quality':>9}{'cost, $':>14}{'latency':>9}")
    for row in sorted(quote["menu"], key=lambda row: (row["expected_cost_nano"], row["model"], row["allowance"])):
        chosen = row["model"] == preferred.model and row["allowance"] == preferred.allowance
        note = row["rejected"] or ("" if row["available"] else "waits for a key")
        print(
            f"{'> ' if chosen else '  '}{row['model']:<26}{row['tier']:<10}{row['allowance']:>9}{row['quality']:>9.2f}"
            f"{row['expected_cost_usd']:>14}{row['expected_latency_s']:>8.1f}s  {note}".rstrip()
        )


def _tell_second_look(look: dict[str, Any]) -> None:
    first = look["first_choice"]
    print(f"second look {look['result']} in {look['took_ms']:.0f} ms")
    print(f"            at first: {first['model']}, {first['allowance']} tokens of thinking,", end=" ")
    print(f"difficulty {look['first_difficulty']:.2f}; {look['rival']['model']} was", end=" ")
    print(f"{look['distance']:.2f} standard errors away")
