from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from policies.decide import decide
from policies.layers import within
from policies.session import Session, wishes_in
from policies.types import Wishes
from tests.policies.ladders import LADDER, USD, ask, wishes


@given(wishes, wishes)
def test_no_layer_loosens_another(outer: Wishes, inner: Wishes):
    both = within(outer, inner)
    for layer in (outer, inner):
        assert _no_looser(both, layer)
    assert both.quality == inner.quality


@given(wishes, wishes, wishes)
def test_the_order_in_which_layers_are_combined_does_not_matter(a: Wishes, b: Wishes, c: Wishes):
    assert within(a, within(b, c)) == within(within(a, b), c)


def test_what_an_answer_is_worth_is_for_the_outer_layer_to_say():
    assert within(Wishes(value_nano=5), Wishes(value_nano=7)).value_nano == 5
    assert within(Wishes(), Wishes(value_nano=7)).value_nano == 7
    worth = [decide(**ask(wishes=Wishes(quality=1.0, value_nano=nano))).chosen.quality for nano in (1, USD)]
    assert worth[0] < worth[1]


def _no_looser(both: Wishes, layer: Wishes) -> bool:
    return all(
        (
            _at_most(both.max_cost_nano, layer.max_cost_nano),
            _at_most(both.max_reasoning_tokens, layer.max_reasoning_tokens),
            _at_most(both.max_latency_s, layer.max_latency_s),
            layer.min_quality is None or (both.min_quality or 0) >= layer.min_quality,
            layer.allow is None or (both.allow is not None and both.allow <= layer.allow),
            both.deny >= layer.deny,
            both.explore <= layer.explore,
        )
    )


def _at_most(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)


def test_a_first_failure_changes_nothing_and_more_of_them_move_up_the_ladder():
    calm = Wishes(quality=0.2)
    assert wishes_in(Session(failures=1), calm) == calm
    chosen = [decide(**ask(wishes=wishes_in(Session(failures=n), calm))).chosen.quality for n in range(5)]
    assert chosen == sorted(chosen)
    assert chosen[-1] > chosen[0]


def test_a_sessions_own_money_is_a_ceiling_on_each_of_its_calls():
    session = Session(budget_nano=USD, spent_nano=USD - 5)
    assert wishes_in(session, Wishes()).max_cost_nano == 5
    assert wishes_in(session, Wishes(max_cost_nano=3)).max_cost_nano == 3
    assert wishes_in(replace(session, spent_nano=2 * USD), Wishes()).max_cost_nano == 0
    assert decide(**ask(wishes=wishes_in(session, Wishes()))).chosen.model == LADDER.models[0].id
