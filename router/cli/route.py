"""`rung route`: how a question would be routed, and why, without a running gateway and without a call."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

import classifier
from classifier.types import Query
from policies.decide import decide
from policies.receipt import menu
from policies.types import Decision, Demand, Purse, Wishes
from router import settings as configuration
from router.estimation import forecast_of
from router.ladder import build_ladder
from router.wire.reading import input_tokens_bound


def route(
    question: Annotated[str, typer.Argument(help="What a user might ask.")],
    quality: Annotated[float | None, typer.Option(min=0, max=1, help="The quality-cost dial, 0 to 1.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Ceiling on this request's cost, dollars.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole menu as JSON.")] = False,
) -> None:
    """Show which rung a question deserves, what it would cost, and why no other.

    Example: rung route "Prove that there are infinitely many primes congruent to 3 modulo 4."
    """
    settings = configuration.load()
    ladder = build_ladder(settings, os.environ)
    model = classifier.load(settings.classifier.artefact, encoder=settings.classifier.encoder)
    request = {"model": "auto", "messages": [{"role": "user", "content": question}]}
    decision = decide(
        catalog=ladder.catalog,
        demand=Demand(input_tokens=input_tokens_bound(request)),
        forecast=forecast_of(model.estimate(Query(text=question)), ladder.models),
        wishes=Wishes(
            quality=settings.quality if quality is None else quality,
            max_cost_nano=None if max_cost is None else round(max_cost * 1e9),
        ),
        purse=Purse(),
    )
    if as_json:
        print(json.dumps(menu(decision), indent=2))
    else:
        _tell(decision, menu(decision))


def _tell(decision: Decision, quote: dict[str, Any]) -> None:
    difficulty = quote["difficulty"]
    print(f"difficulty  {difficulty['value']:.2f} (± {difficulty['uncertainty']:.2f}), {difficulty['kind']}")
    for reason in difficulty["reasons"][:3]:
        print(f"            {reason}")
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
    for row in quote["menu"]:
        chosen = row["model"] == preferred.model and row["allowance"] == preferred.allowance
        note = row["rejected"] or ("" if row["available"] else "waits for a key")
        print(
            f"{'> ' if chosen else '  '}{row['model']:<26}{row['tier']:<10}{row['allowance']:>9}{row['quality']:>9.2f}"
            f"{row['expected_cost_usd']:>14}{row['expected_latency_s']:>8.1f}s  {note}".rstrip()
        )
