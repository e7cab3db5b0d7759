from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decide import decide
from policies.errors import NoCandidate
from policies.share import MEMORY, NOTHING, Share, barred, count
from policies.types import Wishes
from tests.policies.ladders import LADDER, ask


@given(st.floats(0, 1), st.lists(st.booleans(), min_size=1, max_size=400))
def test_the_cap_holds_after_every_call_whatever_is_asked_for(cap: float, wants: list[bool]):
    share = Share()
    strong = 0
    for total, want in enumerate(wants, start=1):
        granted = want and not barred(share, cap=cap, tiers=LADDER.tiers)
        share = count(share, strong=granted)
        strong += granted
        assert share.strong <= cap * share.total + 1
        assert strong <= cap * total + 1 + total / MEMORY * total


def test_an_adversary_who_always_wants_the_strong_tier_gets_its_share_and_no_more():
    share, strong = Share(), 0
    for _ in range(2000):
        granted = not barred(share, cap=0.2, tiers=LADDER.tiers)
        share = count(share, strong=granted)
        strong += granted
    assert 0.19 * 2000 <= strong <= 0.21 * 2000


def test_a_ladder_of_one_tier_has_nothing_to_bar():
    assert barred(Share(strong=5, total=5), cap=0.0, tiers=("only",)) is NOTHING


def test_a_barred_tier_is_not_chosen_and_the_receipt_says_why():
    wishes = Wishes(quality=1.0, barred_tiers=barred(Share(strong=5, total=10), cap=0.2, tiers=LADDER.tiers))
    decision = decide(**ask(wishes=wishes))
    assert decision.chosen.tier == "standard"
    said = {c.model: c.rejected for c in decision.candidates}
    assert "its share of the premium tier" in said["claude-opus"]


def test_a_named_model_is_held_to_the_cap_too():
    wishes = Wishes(barred_tiers=frozenset({"premium"}))
    named = replace(ask()["demand"], model="claude-opus")
    with pytest.raises(NoCandidate, match="its share of the premium tier"):
        decide(**ask(wishes=wishes, demand=named))
