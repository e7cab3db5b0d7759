"""The recipe of the quality curves that ship: what thinking buys per kind of task, prior and data weighed together.

**Gain.** Each study (`training.curve_studies`) measures the gain g of its kind once: its effect in log-odds over the
share of thinking's whole effect that lies between its two allowances. A kind's gain is then the mean of a normal
posterior, from

- the prior of `policies.quality`, with a standard error that says how far its published figures lie apart;
- the studies, each with the square of its error plus what models differ by (DerSimonian and Laird, "Meta-analysis in
  clinical trials", Controlled Clinical Trials 7, 1986; at least `LEAST_TAU`, for a handful of studies cannot tell).

A kind without a study keeps its prior; one with thin or doubtful ones keeps most of it.

**Tokens.** How many times the usual need (`policies.quality.need_tokens` at the shipped classifier's difficulty) the
kind's questions take: the geometric mean over `lrm_token_economy`, where reasoning tokens were counted, shrunk
towards once.

**Proof.** Every model is left out of all files in turn, and its rates with thinking are told from those without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from policies.quality import PRIORS, Curve, need_tokens, saturation
from training.curve_studies import Study, logit, studies
from training.data import Floats
from training.rows import read_table

# Standard errors of the priors' gains. Logic: ZebraLogic says 3.6, LiveBench 1.0. Mathematics: one mean over 12 pairs,
# from low effort up. Coding: LiveBench's 12 pairs run from -7.8 to +9.7 points, an error of 1.6. Trick: one model.
PRIOR_ERROR: Final[Mapping[str, float]] = {"logic": 1.0, "mathematics": 0.6, "coding": 0.15, "trick": 0.6}
LEAST_TAU: Final = 0.3  # log-odds by which models differ at the least: six misguided pairs differ by .35
HARDNESS: Final = 0.6  # difficulty of the questions of such benchmarks: those of lrm_token_economy have .3 to .8
# Its knowledge questions (1+1, a capital) are trivial: they say nothing of what one takes that is in doubt.
KIND_OF_FILE: Final[Mapping[str, str]] = {"Math": "mathematics", "logic puzzle": "logic"}
LEAST_APART: Final = 0.3  # questions of a kind take tokens within a factor of e^.3 of each other at the closest
TOKENS_ERROR: Final = 0.5  # prior: a kind's need lies within a factor of e^.5 of the usual one

Difficulties = Callable[[Sequence[str]], Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """One kind's parameter: what it was before the data, and after.

    Attributes:
        prior, learnt: the parameter. error: standard error of the learnt one. units: studies or questions.
    """

    prior: float
    learnt: float
    error: float
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """The table that ships: per kind the gain (log-odds) and the tokens (times the usual need)."""

    gains: Mapping[str, Fitted]
    tokens: Mapping[str, Fitted]


def learn(data: Path, difficulties: Difficulties) -> tuple[Learnt, tuple[Study, ...]]:
    """Fit the curves, and say from which studies.

    Args:
        data: the directory with the results files.
        difficulties: 0..1 per prompt, by the classifier that the curves will be used with.

    Raises:
        DataError: a file is missing or not as expected.
    """
    found = studies(data)
    tokens = _tokens(data, difficulties)
    return Learnt(gains=gains(found, tokens), tokens=tokens), found


def gains(found: Sequence[Study], tokens: Mapping[str, Fitted]) -> dict[str, Fitted]:
    """The posterior of each kind's gain; that of a kind without studies is its prior."""
    return {
        kind: _gain(kind, [study for study in found if study.kind == kind], _need(kind, tokens)) for kind in PRIOR_ERROR
    }


def shift(study: Study, need: float) -> float:
    """The share of thinking's whole effect that lies between the study's two allowances."""
    return saturation(study.tokens, need) - saturation(study.bare_tokens, need)


def held_out(found: Sequence[Study], tokens: Mapping[str, Fitted]) -> list[dict[str, Any]]:
    """Per kind, how well rates with thinking are foretold for models that were left out.

    Returns:
        rows with `kind`, `studies`, and for `none` (thinking does nothing), `prior` and `learnt`: `log_loss` in nats
        per question, `bias` (predicted - observed) and `miss` (absolute), means over the studies by questions.
    """
    rows: list[dict[str, Any]] = []
    for kind in PRIOR_ERROR:
        need = _need(kind, tokens)
        asked = [study for study in found if study.kind == kind]
        if not asked:
            continue
        learnt = [gains([s for s in found if s.model != study.model], tokens)[kind].learnt for study in asked]
        row: dict[str, Any] = {"kind": kind, "studies": len(asked)}
        for name, values in (("none", 0.0), ("prior", PRIORS[kind].gain), ("learnt", np.array(learnt))):
            row[name] = _score(asked, np.broadcast_to(values, len(asked)), need)
        rows.append(row)
    return rows


def _gain(kind: str, found: Sequence[Study], need: float) -> Fitted:
    prior, error = PRIORS[kind].gain, PRIOR_ERROR[kind]
    if not found:
        return Fitted(prior=prior, learnt=prior, error=error, units=0)
    share = np.array([shift(study, need) for study in found])
    each = np.array([study.effect for study in found]) / share
    own = np.square(np.array([study.error for study in found]) / share)
    weight = 1.0 / (own + max(LEAST_TAU**2, _tau_squared(each, own)))
    total = weight.sum() + error**-2
    mean = float((weight @ each + prior * error**-2) / total)
    return Fitted(prior=prior, learnt=mean, error=float(total**-0.5), units=len(found))


def _tau_squared(each: Floats, own: Floats) -> float:
    """The variance between studies beyond their own errors, by DerSimonian and Laird's moments."""
    weight = 1.0 / own
    apart = float(weight @ np.square(each - weight @ each / weight.sum()))
    scale = float(weight.sum() - np.square(weight).sum() / weight.sum())
    return max(0.0, (apart - (len(each) - 1)) / scale) if scale > 0 else 0.0


def _need(kind: str, tokens: Mapping[str, Fitted]) -> float:
    times = tokens[kind].learnt if kind in tokens else 1.0
    prior = PRIORS[kind]
    return need_tokens(HARDNESS, Curve(gain=prior.gain, floor_tokens=prior.floor_tokens, tokens=times))


def _tokens(data: Path, difficulties: Difficulties) -> dict[str, Fitted]:
    table: Any = read_table(data / "lrm_token_economy.parquet")
    thought = table[(table["reasoning_tokens"] > 0) & table["category"].isin(list(KIND_OF_FILE))]
    prompts = [str(prompt) for prompt in thought["prompt"].unique()]
    usual = {p: need_tokens(d, Curve(gain=0.0)) for p, d in zip(prompts, difficulties(prompts), strict=True)}
    logs: dict[str, list[float]] = {kind: [] for kind in KIND_OF_FILE.values()}
    for (prompt, category), rows in thought.groupby(["prompt", "category"], observed=True):
        spent = float(np.log(rows["reasoning_tokens"].to_numpy(float)).mean())
        logs[KIND_OF_FILE[str(category)]].append(spent - float(np.log(usual[str(prompt)])))
    apart = float(np.sqrt(np.mean(np.concatenate([np.square(np.array(v) - np.mean(v)) for v in logs.values()]))))
    return {kind: _times(np.array(values), max(LEAST_APART, apart)) for kind, values in logs.items()}


def _times(logs: Floats, apart: float) -> Fitted:
    total = len(logs) / apart**2 + TOKENS_ERROR**-2
    return Fitted(
        prior=1.0, learnt=float(np.exp(logs.sum() / apart**2 / total)), error=float(total**-0.5), units=len(logs)
    )


def _score(found: Sequence[Study], gain: Floats, need: float) -> dict[str, float]:
    weight = np.array([study.weight for study in found])
    observed = np.array([study.thinking for study in found])
    moved = logit(np.array([study.bare for study in found])) + gain * np.array([shift(s, need) for s in found])
    told = np.clip(1 / (1 + np.exp(-moved)), 1e-3, 1 - 1e-3)
    loss = -(observed * np.log(told) + (1 - observed) * np.log1p(-told))
    return {
        "log_loss": float(np.average(loss, weights=weight)),
        "bias": float(np.average(told - observed, weights=weight)),
        "miss": float(np.average(np.abs(told - observed), weights=weight)),
    }
