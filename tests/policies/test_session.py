from __future__ import annotations

from dataclasses import replace

import pytest

from policies.catalog import Catalog
from policies.decide import decide
from policies.session import CACHE_LIFE_S, LEAST_CACHED, Session, served, stepped
from policies.types import Demand, Forecast, Model, Prices, Purse, Wishes

NOW = 1_000_000.0


def answered(session: Session, model: str = "a", *, cached_read: int | None = None, now_s: float = NOW) -> Session:
    return served(session, model, input_tokens=20_000, cached_read=cached_read, starved=False, now_s=now_s)


def test_an_answer_leaves_the_prompt_in_its_provider_s_cache_for_a_while():
    session = answered(Session())
    assert session.model == "a"
    assert session.cached_at(NOW + CACHE_LIFE_S - 1) == {"a": 20_000}
    assert session.cached_at(NOW + CACHE_LIFE_S) == {}
    later = answered(session, "b", now_s=NOW + CACHE_LIFE_S)
    assert set(later.cached) == {"b"}


def test_a_short_prompt_is_cached_by_nobody():
    short = served(Session(), "a", input_tokens=LEAST_CACHED - 1, cached_read=None, starved=False, now_s=NOW)
    assert short.cached == {}


def test_a_provider_that_turns_out_to_cache_nothing_is_not_counted_on_again():
    session = answered(answered(Session()), cached_read=0)
    assert (session.uncached, session.cached) == ({"a"}, {})
    assert answered(session).cached == {}
    assert answered(answered(Session()), cached_read=15_000).cached_at(NOW) == {"a": 20_000}


def test_failures_in_a_row_are_counted_and_a_good_step_ends_them():
    session = stepped(Session(), asked="q", failed=True)
    session = stepped(session, asked="q", failed=True)
    assert (session.failures, session.asked) == (2, "q")
    assert stepped(session, asked="q", failed=None).failures == 2
    assert stepped(session, asked="r", failed=False).failures == 0


def test_a_starved_answer_is_a_failure_of_its_step():
    starved = served(Session(), "a", input_tokens=10, cached_read=None, starved=True, now_s=NOW)
    after = stepped(starved, asked="q", failed=False)
    assert (after.failures, after.starved) == (1, False)


def _model(name: str, *, price: int, ability: float) -> Model:
    return Model(
        id=name,
        upstream=f"{name}/x",
        tier=name,
        prices=Prices(input=price, output=4 * price, cache_read=price // 10),
        context_window=200_000,
        max_output=8_000,
        ability=ability,
    )


@pytest.mark.parametrize(("gain", "stays"), [(0.02, True), (0.6, False)])
def test_a_session_stays_while_its_cache_is_worth_more_than_the_switch_and_moves_up_at_once(gain: float, stays: bool):
    catalog = Catalog([_model("a", price=1_000_000_000, ability=0.5), _model("b", price=1_000_000_000, ability=0.5)])
    session = answered(Session())
    demand = Demand(input_tokens=20_000)
    asked = {
        "catalog": catalog,
        "forecast": Forecast(difficulty=0.5, success={"a": 0.3, "b": 0.3 + gain}),
        "wishes": Wishes(quality=0.6),
        "purse": Purse(),
    }
    fresh = decide(demand=demand, **asked)  # type: ignore[arg-type]
    seated = decide(demand=replace(demand, cached=session.cached_at(NOW)), **asked)  # type: ignore[arg-type]
    assert seated.chosen.model == ("a" if stays else "b")
    if not stays:
        assert fresh.chosen.model == "b"
