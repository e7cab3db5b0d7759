from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.candidates import allowances
from policies.catalog import Catalog
from policies.errors import CatalogError, NoPrice, UnknownModel
from policies.types import Control, Prices, Reasoning
from tests.policies.ladders import ALWAYS, BUDGET, EFFORTS, LADDER, LOCAL, MINI, OPUS


def test_models_and_tiers_keep_the_order_of_the_ladder():
    assert LADDER.tiers == ("economy", "standard", "premium")
    assert [m.id for m in LADDER.models] == ["smollm2-135m", "gpt-5-mini", "claude-opus"]
    assert LADDER.tier("standard") == (MINI,)
    assert len(LADDER) == 3
    assert "gpt-5-mini" in LADDER
    assert "gpt-5-mini" in repr(LADDER)


def test_a_model_is_found_by_its_name_and_an_unknown_one_is_an_error_that_says_where_to_look():
    assert LADDER.get("claude-opus") is OPUS
    with pytest.raises(UnknownModel, match=r"GET /v1/models"):
        LADDER.get("gpt-9")


def test_the_version_follows_the_content_and_not_whether_a_key_is_there():
    assert Catalog([LOCAL, MINI, OPUS]).version == LADDER.version
    without_key = replace(MINI, available=False, unavailable_because="no key")
    assert Catalog([LOCAL, without_key, OPUS]).version == LADDER.version
    dearer = replace(MINI, prices=replace(MINI.prices, input=1))
    assert Catalog([LOCAL, dearer, OPUS]).version != LADDER.version


@pytest.mark.parametrize("prices", [None, Prices(input=None, output=1), Prices(input=1, output=None)])  # type: ignore[arg-type]
def test_a_model_without_a_price_is_never_counted_as_free(prices: Prices):
    with pytest.raises(NoPrice, match=r"gpt-5-mini.*give `prices`"):
        Catalog([replace(MINI, prices=prices)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prices": Prices(input=-1, output=1)}, "whole number"),
        ({"prices": Prices(input=1, output=0.5)}, "whole number"),  # type: ignore[arg-type]
        ({"ability": 1.5}, "ability"),
        ({"context_window": 0}, "context_window"),
        ({"max_output": 0}, "max_output"),
        ({"tokens_per_s": 0.0}, "tokens_per_s"),
        ({"latency_s": -1.0}, "latency_s"),
        ({"reasoning": Reasoning(control=Control.LEVELS)}, "levels"),
        ({"reasoning": Reasoning(control=Control.LEVELS, levels=(("b", 9), ("a", 1)))}, "levels"),
        ({"reasoning": Reasoning(control=Control.LEVELS, levels=(("a", -1),))}, "levels"),
        ({"reasoning": Reasoning(control=Control.TOKENS, min_tokens=9, max_tokens=1)}, "min_tokens"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused_by_name(changes: dict[str, Any], said: str):
    with pytest.raises(CatalogError, match=f"gpt-5-mini.*{said}"):
        Catalog([replace(MINI, **changes)])


def test_an_empty_catalogue_and_a_name_given_twice_are_refused():
    with pytest.raises(CatalogError, match="empty"):
        Catalog([])
    with pytest.raises(CatalogError, match="more than once: gpt-5-mini"):
        Catalog([MINI, MINI])


@pytest.mark.parametrize(
    ("dial", "ladder"),
    [
        (Reasoning(), (0,)),
        (ALWAYS, (8192,)),
        (Reasoning(control=Control.ALWAYS, can_disable=False), (12_288,)),
        (Reasoning(control=Control.TOGGLE, max_tokens=9000), (0, 9000)),
        (Reasoning(control=Control.TOGGLE, can_disable=False), (12_288,)),
        (EFFORTS, (0, 1024, 4096, 16_384)),
        (Reasoning(control=Control.LEVELS, levels=(("low", 1024),), can_disable=False), (1024,)),
        (BUDGET, (0, 1024, 4096, 16_384, 65_536, 131_072)),
        (
            Reasoning(control=Control.TOKENS, min_tokens=128, max_tokens=32_768, can_disable=False),
            (128, 1024, 4096, 16_384),
        ),
        (Reasoning(control=Control.TOKENS, min_tokens=0, max_tokens=500), (0, 500)),
    ],
)
def test_the_ladder_of_a_model_holds_only_allowances_that_it_can_honour(dial: Reasoning, ladder: tuple[int, ...]):
    assert allowances(dial) == ladder
