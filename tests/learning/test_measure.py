"""The demonstration's own figures: curves, intervals, and an upstream that cannot be taken for a model."""

from __future__ import annotations

import aiohttp
import numpy as np
import pytest

from tests.learning import measure
from tests.learning.outcome_replay import OutcomeReplay, Replayed, score_in

RNG = np.random.default_rng(0)
COUNT = 400
EXPECTED = np.array([1.0, 3.0])
COST = np.tile(EXPECTED, (COUNT, 1))
GAIN = RNG.random(COUNT) < 0.5  # where the dear model is right and the cheap one is not
SCORE = np.stack([np.where(GAIN, 0.0, 0.6), np.where(GAIN, 1.0, 0.6)], axis=1)


def curve_of(success: np.ndarray) -> measure.Curve:
    return measure.curve(success, EXPECTED, COST, SCORE)


def test_a_curve_begins_at_the_cheapest_and_who_knows_more_is_above_who_knows_less() -> None:
    knowing, guessing = curve_of(SCORE), curve_of(np.stack([np.full(COUNT, 0.5), RNG.random(COUNT)], axis=1))
    weights = measure.resamples(COUNT)[:1]
    assert measure.accuracy_at(knowing, 1.0, weights) == pytest.approx(SCORE[:, 0].mean())
    assert measure.accuracy_at(knowing, 2.0, weights) > measure.accuracy_at(guessing, 2.0, weights) + 0.1
    assert measure.cost_at(knowing, np.array([0.5]), weights) < measure.cost_at(guessing, np.array([0.5]), weights)
    assert np.isnan(measure.cost_at(knowing, np.array([1.1]), weights)).all()


def test_half_the_knowledge_closes_half_the_gap_and_the_interval_holds_it() -> None:
    nothing = np.stack([np.full(COUNT, 0.5), np.full(COUNT, 0.5) + 1e-6 * RNG.random(COUNT)], axis=1)
    half = np.where((RNG.random(COUNT) < 0.5)[:, None], SCORE, nothing)
    curves = {"first_day": curve_of(nothing), "learnt": curve_of(half), "everything": curve_of(SCORE)}
    found = measure.compare(curves, 2.0)
    closed = found["gap_closed"]
    assert closed["low"] < closed["value"] < closed["high"]
    assert 0.3 < closed["value"] < 1.0
    assert found["gain_at_equal_spend"]["low"] > 0


async def test_the_replay_tells_what_it_is_and_refuses_what_it_does_not_know() -> None:
    known = {("m", "Q?"): Replayed(score=0.5, input_tokens=3, output_tokens=7)}
    async with OutcomeReplay(known) as replay, aiohttp.ClientSession() as session:
        for question, status in (("Q?", 200), ("Other?", 400)):
            body = {"model": "m", "messages": [{"role": "user", "content": question}]}
            async with session.post(f"{replay.base}/chat/completions", json=body) as reply:
                assert reply.status == status
                told = await reply.json()
                if status == 200:
                    words = told["choices"][0]["message"]["content"]
                    assert "outcome_replay" in words
                    assert score_in(words) == 0.5
        assert replay.asked == {"m": 1}
