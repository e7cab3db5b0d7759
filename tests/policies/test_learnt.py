"""Effort is raised where it pays and not where it does not, by the curves that ship."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.decide import decide
from policies.learnt import GAINS, TOKENS
from policies.quality import CURVES, PRIORS, UNKNOWN, blended, curve_for
from policies.types import Forecast
from tests.policies.ladders import PROOF, ask

# Questions on which every model is in doubt: the kind of task alone makes the difference.
DOUBTFUL = replace(PROOF, difficulty=0.7)


def allowance(kind: str, forecast: Forecast) -> int:
    return decide(**ask(forecast=replace(forecast, kind=kind))).preferred.allowance


@pytest.mark.parametrize("kind", ["coding", "code", "knowledge", "small talk", "false_premise"])
def test_a_coding_question_gets_no_raise_in_effort(kind: str) -> None:
    assert allowance(kind, PROOF) == 0
    # Where thinking is short, a thousand cheap tokens may be worth their price, but not more.
    assert allowance(kind, DOUBTFUL) <= 1024


@pytest.mark.parametrize("kind", ["logic", "puzzle", "mathematics", "math", "trick"])
def test_a_question_of_logic_mathematics_or_a_trick_does(kind: str) -> None:
    assert allowance(kind, DOUBTFUL) >= 4096


def test_what_was_learnt_lies_over_the_prior_and_all_else_keeps_it() -> None:
    for kind, prior in PRIORS.items():
        assert CURVES[kind].gain == GAINS.get(kind, prior.gain)
        assert CURVES[kind].tokens == TOKENS.get(kind, 1.0)
        assert CURVES[kind].floor_tokens == prior.floor_tokens
    assert set(GAINS) | set(TOKENS) <= set(PRIORS)


def test_a_kind_that_is_not_sure_gets_the_mean_of_what_it_may_be() -> None:
    curve = blended({"logic": 0.5, "coding": 0.25, "poetry": 0.25})
    logic, coding = curve_for("logic"), curve_for("coding")
    assert curve.gain == pytest.approx(0.5 * logic.gain + 0.25 * coding.gain + 0.25 * UNKNOWN.gain)
    assert curve.tokens == pytest.approx(0.5 * logic.tokens + 0.25 * coding.tokens + 0.25)
    assert blended({"logic": 3.0}) == logic


def test_the_decision_averages_over_the_kinds() -> None:
    def quality(forecast: Forecast) -> float:
        decision = decide(**ask(forecast=forecast))
        return max(c.quality for c in decision.candidates if c.model == "gpt-5-mini")

    sure = replace(DOUBTFUL, kind="code")
    doubtful = replace(sure, kinds={"code": 0.6, "puzzle": 0.4})
    assert quality(sure) < quality(doubtful) < quality(replace(DOUBTFUL, kind="puzzle"))
    assert quality(replace(sure, kinds={"code": 1.0})) == pytest.approx(quality(sure))
