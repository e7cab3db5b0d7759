"""What a process remembers of its requests until the pacing counts them in."""

from __future__ import annotations

import pytest

from policies.decide import decide
from policies.spending import Batch
from router.money import arrivals
from router.money.arrivals import Arrivals
from tests.policies.ladders import ask


def test_many_requests_are_counted_each_and_looked_at_now_and_then() -> None:
    seen, decision = Arrivals(), decide(**ask())
    for _ in range(100):
        seen.add((("acme", ("month", "day")),), decision)
    taken = seen.take("acme", ("month", "day", "none"))
    assert set(taken) == {"month", "day"}
    assert taken["month"].count == 100
    assert taken["month"].costs == pytest.approx([100 * cost for cost in decision.curve.costs])
    assert taken["month"].expected == pytest.approx(100 * decision.curve.now)
    assert seen.take("acme", ("month",)) == {}


def test_what_another_process_was_quicker_to_store_is_put_back() -> None:
    seen, decision = Arrivals(), decide(**ask())
    for _ in range(3):
        seen.add((("acme", ("month",)),), decision)
    taken = seen.take("acme", ("month",))
    seen.add((("acme", ("month",)),), decision)
    seen.put_back("acme", taken)
    again = seen.take("acme", ("month",))["month"]
    assert again.count == 4
    assert again.costs == pytest.approx([4 * cost for cost in decision.curve.costs])


def test_the_idlest_budget_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MAX_BUDGETS", 1)
    seen, decision = Arrivals(), decide(**ask())
    seen.add((("one", ("month",)),), decision)
    seen.add((("two", ("month",)),), decision)
    assert seen.take("one", ("month",)) == {}
    assert isinstance(seen.take("two", ("month",))["month"], Batch)
