"""Two estimates become one: between both, rising with ability, and what was learnt from one's own results stands."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier import ArtefactError, Query, load_default
from classifier.second_look import Second, load_second
from classifier.types import Estimate
from tests.judges import Judge, estimate
from tests.second_looks import static_in_place_of_a_transformer

probabilities = st.floats(0.0, 1.0)
successes = st.tuples(probabilities, probabilities).map(sorted).map(tuple)


def said(difficulty: float, success: tuple[float, ...], **heads: float) -> Estimate:
    return replace(estimate(difficulty), success=success, heads=heads)


def together(first: Estimate, second: Estimate, weight: float) -> Estimate:
    return Second(model=Judge(), weight=weight).combined(first, second)


@given(probabilities, probabilities, successes, successes, probabilities)
def test_both_together_lie_between_the_two_and_never_fall_with_ability(
    one: float, other: float, first: tuple[float, ...], second: tuple[float, ...], weight: float
) -> None:
    both = together(said(one, first), said(other, second), weight)
    pairs = [(both.difficulty, one, other), *zip(both.success, first, second, strict=True)]
    for found, a, b in pairs:
        assert min(a, b) - 2e-4 <= found <= max(a, b) + 2e-4
    assert list(both.success) == sorted(both.success)


@given(probabilities, probabilities)
def test_a_weight_of_nothing_or_of_all_is_one_of_the_two(one: float, other: float) -> None:
    first, second = said(one, (0.1, 0.4)), said(other, (0.3, 0.9))
    assert together(first, second, 0.0).difficulty == pytest.approx(one, abs=2e-4)
    assert together(first, second, 1.0).difficulty == pytest.approx(other, abs=2e-4)


def test_half_the_weight_is_the_mean_of_the_log_odds() -> None:
    both = together(said(0.2, (0.2, 0.8)), said(0.5, (0.5, 0.9)), 0.5)
    assert math.log(both.difficulty / (1 - both.difficulty)) == pytest.approx(0.5 * math.log(0.25))


def test_a_head_that_only_the_first_has_stands() -> None:
    both = together(said(0.3, (0.2, 0.8), mine=0.9, shared=0.2), said(0.3, (0.2, 0.8), shared=0.8, new=0.4), 0.5)
    assert both.heads == pytest.approx({"mine": 0.9, "shared": 0.5, "new": 0.4})


def test_the_input_for_the_log_stays_the_first_ones_and_the_version_names_both() -> None:
    first, second = replace(estimate(version="one"), reading=b"first"), replace(estimate(version="two"), reading=b"x")
    both = together(first, second, 0.5)
    assert (both.reading, both.version) == (b"first", "one+two")


def test_what_training_wrote_is_loaded_with_its_weight(tmp_path: Path) -> None:
    second = load_second(static_in_place_of_a_transformer(tmp_path / "second", harder=2.0, weight=0.3))
    query = Query(text="Name three cities of Mongolia.")
    assert second.weight == 0.3
    assert second.model.estimate(query).difficulty > load_default().estimate(query).difficulty


@pytest.mark.parametrize("about", [None, {}, {"weight": None}, {"weight": 1.5}, {"weight": "much"}, "weight"])
def test_an_artefact_without_a_weight_is_no_second_look(tmp_path: Path, about: object) -> None:
    folder = static_in_place_of_a_transformer(tmp_path / "second")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | {"second_look": about}), encoding="utf-8")
    with pytest.raises(ArtefactError, match="rung-train second-look"):
        load_second(folder)
