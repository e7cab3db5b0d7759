"""A short month on invented outcomes: every step of the demonstration works together."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.learning.demo import Plan, run
from tests.learning.traffic import FILE, MODELS
from training.learning.gates import Gates

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# What each kind of question is, and which of the three models are right on it.
KINDS = {
    "What is {} plus {} times three?": (1, 0, 1),
    "Who painted picture number {} of the year {}?": (0, 1, 1),
    "Write a Python function that returns {} + {}.": (1, 0, 1),
    "Is the word number {} of page {} a noun?": (0, 1, 0),
}


def invent(folder: Path, each: int) -> None:
    """Results of the form that the data directory has."""
    rows = [
        {
            "source": "invented",
            "query_id": f"{kind}-{number}",
            "prompt": words.format(number, number * 7 + 3),
            "category": str(kind),
            "model": model,
            "score": float(score),
        }
        for kind, (words, scores) in enumerate(KINDS.items())
        for number in range(each)
        for model, score in zip(MODELS, scores, strict=True)
    ]
    pd.DataFrame(rows).to_parquet(folder / FILE)
    prices = [(model, price, price) for model, price in zip(MODELS, (0.2, 0.2, 0.5), strict=True)]
    columns = ["model", "input_usd_per_million", "output_usd_per_million"]
    pd.DataFrame(prices, columns=columns).to_csv(folder / "prices.csv", index=False)


async def test_a_short_month_ends_with_a_classifier_of_ones_own_in_force_and_a_report(tmp_path: Path) -> None:
    invent(tmp_path, 60)
    out = tmp_path / "learning.json"
    lenient = Gates(least_outcomes=40, least_effective=10, least_support=0.3)  # a day is too short for the defaults
    plan = Plan(
        data=tmp_path, folder=tmp_path / "demo", out=out, requests=180, feedbacks=150, days=1, gates=lenient
    )  # fmt: skip
    said: list[str] = []
    report = await run(plan, said.append)
    assert json.loads(out.read_text()) == report
    assert (report["feedbacks"], sum(report["calls"].values())) == (150, 180)
    (night,) = report["nights"]
    assert (night["candidate"], night["promoted"]) == ("tenant-demo-1", True), night
    assert report["in_force"] == "tenant-demo-1"  # and the running gateway said so, else the month would not have ended
    right = report["accuracy_at_equal_spend"]
    assert right["learnt"]["value"] > right["first_day"]["value"] + 0.1
    assert right["everything"]["value"] > right["first_day"]["value"] + 0.1
    assert report["gap_closed"]["low"] <= report["gap_closed"]["value"] <= report["gap_closed"]["high"]
    assert report["gap_closed"]["value"] > 0.5
    assert len([line for line in said if line.startswith("day")]) == 1
