"""What is replayed: real outcomes and costs, the predictions, and how an operator would have configured the models.

1. `records` settles the outcomes and the cross-fitted predictions: five folds by question.
2. `divide` splits the questions into a past and a window, by chance; everything tuned is tuned on the past.
3. `configure` reads off the past what an operator knows: the two named models, and each model's usual cost as a
   straight line of the prompt's tokens, written as the prices of a catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import DEFAULT
from classifier.encoder import load_static
from classifier.inputs import Inputs
from policies.catalog import Catalog
from policies.cost import expected_nano
from policies.policy import Policy
from policies.types import NANO_PER_USD, Demand, Forecast, Model, Prices
from training.benchmarks import pool, routing
from training.benchmarks.routers import Asked, Judgement, Router, from_success
from training.data import DataError, Floats, Integers, Matrix, count_tokens
from training.fit import RoutingModel

# What stands for a usual answer in the catalogue's prices; only the product of price and tokens matters.
ANSWER_TOKENS = 200
# A client's cap on answers, at the least; more where the past had longer ones. Holds are sized by it.
LEAST_CAP = 1024
# A budget "to be spent as well as possible" values a right answer so highly that without pacing any predicted gain of
# a hundredth buys the strong model; how far the money goes is then for the pacing price alone to say.
WORTH_IN_STRONG_CALLS = 100
MIN_QUERIES = 100  # past and window, several tenants each: fewer make no traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """n queries x m models, complete, worst model first.

    Attributes:
        score: (n, m) true outcomes 0..1. cost: (n, m) true costs, nano-dollars.
        success, knn: (n, m) probabilities from models that have not seen the question.
        tokens: (n,) of the prompts. questions: (n,) ids.
    """

    models: tuple[str, ...]
    score: Floats
    cost: NDArray[np.int64]
    success: Floats
    knn: Floats
    tokens: NDArray[np.int64]
    questions: Integers

    @property
    def ease(self) -> Floats:
        """(n,) mean score over the models: how easy the question turned out."""
        return self.score.mean(axis=1)

    @property
    def hard(self) -> NDArray[np.bool_]:
        """(n,) the half with the lowest scores; equals in the order of the file."""
        place = np.argsort(np.argsort(self.ease, kind="stable"), kind="stable")
        return np.asarray(place < len(place) // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the operator of a simulated gateway has configured, from the past alone.

    Attributes:
        catalog, policy: for `policies.decide`. cheap, strong: columns of the records.
        demands, forecasts: one per query of the records.
        expected: (n, m) expected costs in nano-dollars, by the policy's own arithmetic.
    """

    catalog: Catalog
    policy: Policy
    cheap: int
    strong: int
    demands: tuple[Demand, ...]
    forecasts: tuple[Forecast, ...]
    expected: NDArray[np.int64]


def records(matrix: Matrix, subject: Router, knn: Router, *, seed: int, progress: Callable[[str], None]) -> Records:
    """Outcomes with predictions by models that have not seen the question.

    Args:
        matrix: the results.
        subject, knn: who predict; both must name probabilities.
        seed: of the folds.
        progress: told who is learning.

    Raises:
        DataError: too few queries were answered by all models.
    """
    held = routing.contest(routing.arrange(matrix, "cv", seed=seed), pool.models(matrix))
    whole = held.matrix
    if len(whole) < MIN_QUERIES:
        raise DataError(f"only {len(whole)} queries were answered by all models; traffic needs {MIN_QUERIES}")
    predicted: list[Floats] = []
    for router in (subject, knn):
        progress(f"{router.name}, five folds")
        judgement = routing.run(router, held)
        if judgement is None or judgement.success is None:
            raise DataError(f"{router.name} gives no probabilities of success")
        predicted.append(judgement.success)
    return Records(
        models=whole.models,
        score=whole.score,
        cost=np.rint(whole.usd * NANO_PER_USD).astype(np.int64),
        success=predicted[0],
        knn=predicted[1],
        tokens=np.array([count_tokens(prompt) for prompt in whole.prompts], np.int64),
        questions=whole.questions,
    )


class Recipe:
    """The classifier's recipe, fitted afresh to what it is given; only the unsupervised encoder is shared.

    As `subject.refitted`, but it fits heads for all models alone: the gain of one pair is not asked for here.
    """

    name = "rung"
    learns = True
    names_success = True

    def __init__(self) -> None:
        static = load_static(DEFAULT)
        self._inputs = Inputs(static, static.vocabulary)

    def fit(self, train: Matrix) -> None:
        """Take the results in."""
        self._model = RoutingModel(self._inputs).fit(train)

    def judge(self, asked: Asked) -> Judgement:
        """Success of every model."""
        success = np.asarray(self._model.success(list(asked.prompts), asked.models), np.float64)
        return from_success(success)


def divide(questions: Integers, draw: np.random.Generator) -> tuple[Integers, Integers]:
    """Rows of the past and of the window: half of the questions each, drawn at random."""
    distinct, member = np.unique(questions, return_inverse=True)
    past = (draw.permutation(len(distinct)) % 2 == 0)[member]
    return np.flatnonzero(past), np.flatnonzero(~past)


def configure(found: Records, past: Integers, *, value_usd: float | None = None) -> Setup:
    """The gateway as configured after the past.

    Args:
        found: outcomes and predictions.
        past: rows that are known.
        value_usd: what a right answer is worth; None: `WORTH_IN_STRONG_CALLS` calls of the strong model.
    """
    score, cost = found.score[past].mean(axis=0), found.cost[past].mean(axis=0)
    strong = int(np.lexsort((cost, -score))[0])
    cheap = int(np.lexsort((-score, np.rint(cost)))[0])
    prices = [_prices(found.cost[past, column], found.tokens[past]) for column in range(len(found.models))]
    produced = np.stack([_tokens(p, found.cost[past, m], found.tokens[past]) for m, p in enumerate(prices)])
    cap = max(LEAST_CAP, int(np.ceil(produced.max())))
    high = max(ANSWER_TOKENS, int(np.ceil(np.quantile(produced, 0.9))))
    value = WORTH_IN_STRONG_CALLS * cost[strong] if value_usd is None else value_usd * NANO_PER_USD
    models = [
        Model(
            id=name,
            upstream=f"simulated/{name}",
            tier="simulated",
            prices=price,
            context_window=int(found.tokens.max()) + cap + 1,
            max_output=cap,
            ability=float(score[column]),
        )
        for column, (name, price) in enumerate(zip(found.models, prices, strict=True))
    ]
    return Setup(
        catalog=Catalog(models),
        policy=Policy(version="simulated", value_at_1_nano=max(1, round(value)), value_at_0_nano=1),
        cheap=cheap,
        strong=strong,
        demands=tuple(Demand(input_tokens=int(tokens), max_output_tokens=cap) for tokens in found.tokens),
        forecasts=tuple(_forecast(found.models, row, cheap, high) for row in found.success),
        expected=np.array(
            [
                [expected_nano(price, input_tokens=int(tokens), answer=ANSWER_TOKENS, thinking=0) for price in prices]
                for tokens in found.tokens
            ],
            np.int64,
        ),
    )


def _prices(cost: NDArray[np.int64], tokens: NDArray[np.int64]) -> Prices:
    """The line of cost over the prompt's tokens as prices; constant where it would fall."""
    slope, level = 0.0, float(cost.mean())
    if np.ptp(tokens) > 0:
        fitted = np.polyfit(tokens.astype(np.float64), cost.astype(np.float64), 1)
        if fitted.min() >= 0.0:
            slope, level = map(float, fitted)
    return Prices(input=round(slope * 1e6), output=max(1, round(level * 1e6 / ANSWER_TOKENS)))


def _tokens(prices: Prices, cost: NDArray[np.int64], prompt: NDArray[np.int64]) -> Floats:
    """(n,) answer tokens that the true cost comes to at these prices."""
    return (cost * 1e6 - prompt * prices.input) / prices.output


def _forecast(models: tuple[str, ...], success: Floats, cheap: int, high: int) -> Forecast:
    return Forecast(
        difficulty=float(1.0 - success[cheap]),
        success=dict(zip(models, map(float, success), strict=True)),
        answer_tokens=ANSWER_TOKENS,
        answer_tokens_high=high,
    )
