"""Receipts that are made when they are read: the same inputs and rules give the same explanation, for any decision."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as sized
from hypothesis import strategies as st

from policies.catalog import Catalog
from policies.decide import decide
from policies.errors import PolicyError
from policies.policy import DEFAULT
from policies.receipt import receipt
from policies.types import Capability, Demand, Forecast, Purse, Wishes
from router.configuration.ladder import build_ladder
from router.configuration.settings import Settings
from router.inputs import Inputs, Rules, as_plain, decide_again, dump_rules
from router.service.records import told
from tests.gateway import fake_ladder

CATALOG: Catalog = build_ladder(Settings.model_validate({"models": fake_ladder("http://127.0.0.1:1/v1")}), {}).catalog
RULES_ID, RULES = dump_rules(Rules(models=CATALOG.models, policy=DEFAULT))
NAMES = [model.id for model in CATALOG.models]
names = st.frozensets(st.sampled_from(NAMES))
some = st.none() | st.integers(0, 10**9)

inputs = st.builds(
    Inputs,
    demand=st.builds(
        Demand,
        input_tokens=st.integers(1, 30_000),
        max_output_tokens=st.none() | st.integers(1, 9_000),
        needs=st.frozensets(st.sampled_from(list(Capability)), max_size=2),
        model=st.none() | st.sampled_from(NAMES),
        reasoning_ceiling=st.none() | st.integers(0, 20_000),
        cached=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1000)),
    ),
    forecast=st.builds(
        Forecast,
        difficulty=st.floats(0, 1),
        success=st.fixed_dictionaries({name: st.floats(0.01, 0.99) for name in NAMES}),
        kind=st.sampled_from(["code", "mathematics", "other"]),
        reasons=st.lists(st.text(max_size=5)).map(tuple),
    ),
    wishes=st.builds(
        Wishes,
        quality=st.floats(0, 1),
        max_cost_nano=some,
        allow=st.none() | names,
        deny=names,
        explore=st.floats(0, 1),
    ),
    purse=st.builds(Purse, remaining_nano=some, pacing_price=st.floats(0, 100)),
    draw=st.none() | st.floats(0, 1, exclude_max=True),
    now_s=st.floats(0, 2e9),
)


def made(given_: Inputs) -> Any:
    return decide(
        catalog=CATALOG,
        demand=given_.demand,
        forecast=given_.forecast,
        wishes=given_.wishes,
        purse=given_.purse,
        policy=DEFAULT,
        exploration_draw=given_.draw,
        now_s=given_.now_s,
    )


@given(inputs)
@sized(max_examples=200)
def test_a_decision_made_again_from_its_record_has_the_same_receipt(kept: Inputs) -> None:
    stored = orjson.loads(orjson.dumps(kept, default=as_plain))
    try:
        first = made(kept)
    except PolicyError:
        assert decide_again(RULES, stored) is None
        return
    again = decide_again(RULES, stored)
    assert again is not None
    assert receipt(again) == receipt(first)


def test_equal_rules_have_equal_ids_and_other_rules_others() -> None:
    assert dump_rules(Rules(models=CATALOG.models, policy=DEFAULT))[0] == RULES_ID
    assert dump_rules(Rules(models=CATALOG.models[:2], policy=DEFAULT))[0] != RULES_ID


@pytest.mark.parametrize("rules", [None, b"{}", RULES], ids=["gone", "unreadable", "deciding otherwise"])
def test_where_the_decision_cannot_be_made_again_the_receipt_says_so_and_tells_what_was_decided(
    rules: bytes | None,
) -> None:
    decided = {
        "chosen": {"model": "other", "tier": "x", "allowance": 1},
        "preferred": {"model": "other", "tier": "x", "allowance": 1},
        "hold_nano": 1,
        "propensity": 1.0,
    }
    given_ = Inputs(
        demand=Demand(input_tokens=5),
        forecast=Forecast(difficulty=0.5, success=dict.fromkeys(NAMES, 0.5)),
        wishes=Wishes(),
        purse=Purse(),
        draw=None,
        now_s=0.0,
    )
    stored = orjson.dumps({"id": "d", "rules": "r", "inputs": given_, "decided": decided}, default=as_plain)
    told_ = told(stored, rules)
    assert told_["receipt"]["chosen"]["model"] == "other"
    assert "cannot be shown" in told_["receipt"]["notes"][0]
