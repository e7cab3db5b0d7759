"""What a budget says, as it is kept and read again, and what follows from its numbers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.types import Purse
from router.store import Budget, Window
from router.store.ledger_types import (
    ALERTS,
    LARGEST_NANO,
    Funds,
    Grant,
    Terms,
    purse_of,
    read_budgets,
    shares_word,
)

nano = st.integers(0, LARGEST_NANO)
share = st.floats(0, 1)
threshold = st.floats(0, 1, exclude_min=True)
terms = st.builds(
    Terms,
    soft=st.none() | share,
    rollover=threshold,
    rollover_cap_nano=st.none() | nano,
    alerts=st.lists(threshold, unique=True, max_size=4).map(lambda some: tuple(sorted(some))),
)


def budget(**fields: Any) -> Budget:
    plain: dict[str, Any] = {
        "name": "main",
        "scope": "",
        "window": Window.DAY,
        "limit_nano": 100,
        "spent_nano": 0,
        "held_nano": 0,
        "starts_at": 0.0,
        "ends_at": None,
    }
    return Budget(**plain | fields)


@given(st.builds(Grant, name=st.text(), scope=st.text(), window=st.sampled_from(Window), limit_nano=nano, terms=terms))
def test_a_budget_is_read_as_it_was_set(grant: Grant) -> None:
    assert Grant.load(orjson.loads(grant.dump())) == grant


def test_what_a_budget_leaves_at_its_default_is_not_written() -> None:
    assert Terms().dump() == {}
    assert Terms.load({}) == Terms() == Terms(soft=None, rollover=0.0, rollover_cap_nano=None, alerts=ALERTS)
    assert Terms(rollover_cap_nano=5).dump() == {}, "a cap of nothing that rolls over"
    assert Terms(soft=0).dump() == {"soft": "0.0"}
    assert Terms(rollover=0.5, rollover_cap_nano=0).dump() == {"roll": "0.5", "cap": "0"}
    assert Terms(rollover=1).dump() == {"roll": "1.0"}
    assert Terms(alerts=()).dump() == {"alerts": ""}
    assert Terms.load({"alerts": ""}).alerts == ()


def test_shares_are_written_rising_and_each_once() -> None:
    assert shares_word([1, 0.5, 1.0]) == "0.5,1.0"


@pytest.mark.parametrize(
    "fields",
    [
        {"soft": -0.01},
        {"soft": 1.01},
        {"rollover": -0.01},
        {"rollover": 1.01},
        {"rollover_cap_nano": -1},
        {"rollover_cap_nano": LARGEST_NANO + 1},
        {"alerts": (0.0, 0.5)},
        {"alerts": (0.5, 1.01)},
    ],
)
def test_terms_outside_of_their_bounds_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"share|must lie in"):
        Terms(**fields)


def test_the_bounds_themselves_are_good() -> None:
    for edge in (0, 1):
        assert Terms(soft=edge, rollover=edge).soft == edge
    assert Terms(rollover_cap_nano=LARGEST_NANO).rollover_cap_nano == LARGEST_NANO
    assert Terms(alerts=(1e-9, 1.0)).alerts == (1e-9, 1.0)


@pytest.mark.parametrize(("word", "window"), [("day", Window.DAY), ("Month", Window.MONTH), ("total", Window.TOTAL)])
def test_a_window_has_its_word(word: str, window: Window) -> None:
    assert Window.parse(word) is window
    assert window.word == word.lower()
    with pytest.raises(ValueError, match="day, month or total"):
        Window.parse(f"{word}s")


@given(nano, nano, nano)
def test_what_remains_is_the_limit_less_what_is_spent_and_held_and_never_less_than_nothing(
    limit: int, spent: int, held: int
) -> None:
    left = budget(limit_nano=limit, spent_nano=spent, held_nano=held).remaining_nano
    assert left == (limit - spent - held if limit > spent + held else 0)


def test_a_budget_is_past_its_soft_limit_from_that_limit_on() -> None:
    assert not budget(spent_nano=100).is_past_soft, "without one there is none to pass"
    assert [budget(soft=0.8, spent_nano=spent, held_nano=30).is_past_soft for spent in (49, 50, 51)] == [
        False,
        True,
        True,
    ]
    assert budget(soft=0.0).is_past_soft


def test_an_organisation_s_budget_is_known_by_its_scope_and_has_a_name_of_its_own() -> None:
    own, shared = budget(name="main month"), budget(name="@acme month of all", scope="@acme")
    assert (own.of_organisation, own.own_name) == (False, "main month")
    assert (shared.of_organisation, shared.own_name) == (True, "month of all")


def test_the_purse_is_the_budget_with_the_least_left() -> None:
    wide, tight = budget(limit_nano=90), budget(name="tight", spent_nano=40, held_nano=30)
    assert Funds(now=0, budgets=(wide, tight)).tightest == tight
    assert Funds(now=0, budgets=(wide, tight)).purse == purse_of((tight, wide))
    assert purse_of((tight, wide)) == Purse(remaining_nano=30, limit_nano=100, spent_nano=40, held_nano=30)
    assert Funds(now=0, budgets=()).tightest is None
    assert purse_of(()) == Purse()


def test_a_script_s_rows_are_read_however_short_they_are() -> None:
    rows = [
        [b"main", b"", b"t", b"100", b"7", b"3", b"0", b"0"],
        [b"main", b"", b"t", b"100", b"0", b"0", b"0", b"0", b"0.8"],
        [b"main", b"", b"d", b"100", b"0", b"0", b"0", b"0", b"", b"6"],
        [b"@acme m", b"@acme", b"m", b"9", b"0", b"0", b"1500", b"2500", b"0.5", b"4"],
    ]
    assert read_budgets(rows) == (
        budget(window=Window.TOTAL, spent_nano=7, held_nano=3),
        budget(window=Window.TOTAL, soft=0.8),
        budget(rolled_nano=6),
        budget(
            name="@acme m",
            scope="@acme",
            window=Window.MONTH,
            limit_nano=9,
            starts_at=1.5,
            ends_at=2.5,
            soft=0.5,
            rolled_nano=4,
        ),
    )
