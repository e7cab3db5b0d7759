from __future__ import annotations

import json
from typing import Any

import pytest

from policies.decide import decide
from policies.receipt import receipt
from policies.records import UnreadableRecord, read
from policies.types import Wishes
from tests.policies.ladders import ask


def logged(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(receipt(decide(**ask(**changes), exploration_draw=0.5))))


def test_what_was_logged_is_read_back_with_all_that_an_evaluation_needs():
    decision = decide(**ask(wishes=Wishes(explore=0.1)), exploration_draw=0.5)
    record = read(json.loads(json.dumps(receipt(decision))))
    assert record.taken.model == decision.chosen.model
    assert record.propensity == decision.propensity < 1
    assert record.taken in record.options
    assert len(record.options) == sum(c.admissible and c.available for c in decision.candidates)
    assert (record.kind, record.difficulty) == ("mathematics", 0.93)
    assert record.catalog_version == decision.catalog_version


@pytest.mark.parametrize("change", [{"schema": 2}, {"schema": None}, {"chosen": {}}, {"difficulty": None}])
def test_a_receipt_of_another_shape_is_refused_rather_than_misread(change: dict[str, Any]):
    with pytest.raises(UnreadableRecord):
        read(logged() | change)
