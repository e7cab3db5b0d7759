from __future__ import annotations

from typing import Any

import pytest

from policies.cases import check_expected, differences
from policies.decide import decide
from policies.errors import CatalogError
from tests.policies.ladders import SUM, ask

PROVED = decide(**ask()).chosen
SUMMED = decide(**ask(forecast=SUM)).chosen


@pytest.mark.parametrize(
    "expected",
    [
        {"tier": "standard"},
        {"tier": ["standard", "premium"], "model": "gpt-5-mini"},
        {"min_allowance": 1024, "max_allowance": 16_384},
        {"min_quality": 0.76, "max_cost_usd": 0.012451},
    ],
)
def test_a_decision_as_expected_has_no_differences(expected: dict[str, Any]):
    assert differences(PROVED, expected) == ()


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"tier": "standard"}, "the tier is economy, not standard"),
        ({"model": ("a", "b")}, "the model is smollm2-135m, not a or b"),
        ({"min_allowance": 1024}, "allowance is 0, below 1024"),
        ({"max_allowance": -1}, "allowance is 0, above -1"),
        ({"min_quality": 0.99}, "quality is 0.950, below 0.99"),
        ({"max_cost_usd": -0.5}, "cost_usd is 0.00, above -0.5"),
    ],
)
def test_each_difference_is_told_in_words(expected: dict[str, Any], said: str):
    assert differences(SUMMED, expected) == (said,)


def test_all_differences_are_told():
    assert len(differences(SUMMED, {"tier": "premium", "min_allowance": 1})) == 2


@pytest.mark.parametrize("expected", [{}, {"teir": "economy"}, {"max_cost_usd": "little"}, {"min_quality": True}])
def test_a_case_that_cannot_fail_or_makes_no_sense_is_refused(expected: dict[str, Any]):
    with pytest.raises(CatalogError):
        check_expected(expected)
    with pytest.raises(CatalogError):
        differences(SUMMED, expected)
