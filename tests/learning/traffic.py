"""A simulated month of one tenant: real questions with the real outcomes of three real models, and questions kept back.

The rows are not ours to ship: they lie in a folder that is named, and without it there is nothing to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.learning.outcome_replay import Replayed
from training.abilities import listed
from training.data import Matrix, read_results, to_matrix
from training.prices import price_of, read_prices

FILE = "ulab_llmrouter.parquet"
# Two small models that are good at different things, which only the tenant's own traffic tells, and a larger one.
MODELS = ("qwen2.5-7b-instruct", "gemma-2-9b-it", "llama-3.1-nemotron-51b-instruct")
TIERS = ("economy", "economy", "premium")
KEPT_BACK = 0.2  # of the questions: what everything is measured on
ANSWER_TOKENS = 200  # the data tells none; its costs are made with as many
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The month.

    Attributes:
        matrix: all questions with all outcomes. asked: (r,) which question each request asks, in order of time; some
            are asked again. told: (r,) whether the user will say what the answer was worth.
        kept_back: (k,) questions that nobody asks.
    """

    matrix: Matrix
    asked: NDArray[np.intp]
    told: NDArray[np.bool_]
    kept_back: NDArray[np.intp]

    @property
    def outcomes(self) -> dict[tuple[str, str], Replayed]:
        """By model and question, for the replay."""
        found: dict[tuple[str, str], Replayed] = {}
        for row, prompt in enumerate(self.matrix.prompts):
            for column, model in enumerate(self.matrix.models):
                found[model, str(prompt)] = Replayed(
                    score=float(self.matrix.score[row, column]),
                    input_tokens=len(str(prompt)) // CHARS_PER_TOKEN + 1,
                    output_tokens=ANSWER_TOKENS,
                )
        return found


def month(data: Path, *, requests: int, feedbacks: int, seed: int) -> Month:
    """Draw a month.

    Args:
        data: the folder with the results. requests: how many are made. feedbacks: after how many of them the user says
            what the answer was worth. seed: of everything drawn.
    """
    results = read_results([data / FILE], prices=data / "prices.csv")
    whole = to_matrix(results).pick(MODELS)
    matrix = whole.take(np.flatnonzero(whole.complete))
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(matrix))
    cut = int(len(order) * KEPT_BACK)
    kept_back, open_ = np.sort(order[:cut]), order[cut:]
    again = draw.choice(open_, max(requests - len(open_), 0))
    asked = draw.permutation(np.concatenate([open_[:requests], again]))
    told = np.zeros(requests, bool)
    told[draw.permutation(requests)[:feedbacks]] = True
    return Month(matrix=matrix, asked=asked, told=told, kept_back=kept_back)


def ladder(data: Path, base: str) -> list[dict[str, object]]:
    """The models as `rung.yaml` has them, all behind the replay at `base`."""
    prices = read_prices(data / "prices.csv")
    rungs: list[dict[str, object]] = []
    for model, tier in zip(MODELS, TIERS, strict=True):
        price = price_of(model, prices)
        rungs.append(
            {
                "id": model,
                "upstream": f"openai/{model}",
                "tier": tier,
                "ability": listed()[model],
                "api_base": base,
                "api_key": "replay",
                "context_window": 32_000,
                "max_output": 2_000,
                "prices": {"input": price.input, "output": price.output},
            }
        )
    return rungs
