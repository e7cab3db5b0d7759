"""Our own prompts: enough of them, none both taught and tested, and noise that is bounded."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.noise import EFFORT, gibberish, noisy, typos
from training.own_prompts import rated, taught_trivial, trivial
from training.tasks import KINDS, LEVELS


def test_there_are_several_hundred_to_train_and_a_hundred_to_test_in_many_scripts() -> None:
    assert len(trivial("train")) >= 300
    assert len(trivial("test")) >= 100
    scripts = {char for line in trivial("test") for char in line if ord(char) > 0x370}
    assert len(scripts) > 50


def test_no_prompt_is_both_taught_and_tested() -> None:
    taught = {line.strip().casefold() for line in taught_trivial(0).prompts}
    assert not taught & {line.strip().casefold() for line in trivial("test")}


def test_rated_prompts_cover_every_kind_with_rising_success() -> None:
    own = rated()
    assert set(own.kinds.tolist()) == set(range(len(KINDS)))
    assert own.levels.shape == (len(own.prompts), len(LEVELS))
    assert (np.diff(own.levels, axis=1) > 0).all()


@given(st.text(max_size=200), st.integers(0, 2**16))
def test_noise_is_the_same_for_the_same_seed(text: str, seed: int) -> None:
    assert noisy(text, np.random.default_rng(seed)) == noisy(text, np.random.default_rng(seed))


def test_typos_touch_about_the_share_of_letters_asked_for() -> None:
    text = "abcdefghij" * 200
    slipped = typos(text, 0.05, np.random.default_rng(0))
    assert slipped != text
    assert abs(len(slipped) - len(text)) < 60
    assert typos(text, 0.0, np.random.default_rng(0)) == text


def test_gibberish_has_the_length_asked_for() -> None:
    assert len(gibberish(60, np.random.default_rng(0))) == 60


def test_pleas_for_effort_are_sentences() -> None:
    assert all(plea.endswith(". ") for plea in EFFORT)
