"""The command `rung-train label`; what it does stands in `training.learning.labelling`."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from training.commands import user_errors

KEY_VARIABLE = "RUNG_API_KEY"


def label(
    *,
    logs: Annotated[str, typer.Option(help="The decision log: a folder or an fsspec URL.")],
    gateway: Annotated[str, typer.Option(help="The gateway's base URL, with /v1.")] = "http://127.0.0.1:8080/v1",
    judge: Annotated[str | None, typer.Option(help="The model that judges, by its id in the gateway.")] = None,
    check: Annotated[
        str | None, typer.Option(help="Instead: a command that reads {question, answer} as JSON and writes 0..1.")
    ] = None,
    name: Annotated[str, typer.Option(help="What the check is called in the log: checker.NAME.")] = "label",
    questions: Annotated[int, typer.Option(min=1, help="How many questions at the most, earlier runs included.")] = 200,
    budget: Annotated[float, typer.Option(min=0.0, help="Dollars at the most, earlier runs included.")] = 5.0,
    model: Annotated[list[str] | None, typer.Option(help="A rung to ask (repeat); default: all that could.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's questions.")] = None,
    journal: Annotated[Path, typer.Option(help="Where a run goes on.")] = Path("build/learning/labels.jsonl"),
    seed: Annotated[int, typer.Option(help="Of the order in which a judge sees answers.")] = 0,
) -> None:
    """Buy labels where they teach most: ask other rungs again, and have a judge or a check score the answers.

    The key of the tenant that pays stands in RUNG_API_KEY. Only questions whose text the log keeps (log_text) can be
    asked. It ends when the questions or the budget are used up; run again, it goes on where it stopped.
    """
    from training.learning.candidates import most_teaching, read_candidates
    from training.learning.judge import CommandCheck, HttpGateway, Metered, PairJudge
    from training.learning.labelling import Labelled, label, write_outcomes
    from training.rows import DataError

    async def buy() -> list[Labelled]:
        key = os.environ.get(KEY_VARIABLE)
        if not key or (judge is None) == (check is None):
            raise DataError(f"set {KEY_VARIABLE} to the key of the tenant that pays, and give --judge or --check")
        candidates, known = read_candidates(logs, tenant=tenant)
        async with HttpGateway(gateway, key) as reached:
            asked = Metered(reached)
            score = PairJudge(asked, judge, seed=seed) if judge else CommandCheck(name, shlex.split(check or ""))
            return await label(
                most_teaching(candidates, known),
                asked,
                score,
                journal=journal,
                questions=questions,
                budget_usd=budget,
                models=tuple(model or ()),
                say=lambda words: typer.echo(words, err=True),
            )

    with user_errors():
        labelled = asyncio.run(buy())
        count = write_outcomes(logs, labelled)
    spent = sum(one.usd for one in labelled)
    typer.echo(
        f"{count} labels of {sum(bool(one.labels) for one in labelled)} questions in the log, ${spent:.4f} spent in all"
    )
