"""What is remembered of tenants' money, and for how long."""

from __future__ import annotations

from router.money.foresight import FRESH_S, Foresight
from router.recent import Recent
from router.store import Funds, Key, Opening, Principal, Tenant, Verdict

ACME = Principal(tenant=Tenant(id="acme"), key=Key(id="k1", tenant="acme", mac=""))
OTHER = Principal(tenant=Tenant(id="acme"), key=Key(id="k2", tenant="acme", mac=""))


def opening(now: float) -> Opening:
    return Opening(verdict=Verdict(), funds=Funds(now=now, budgets=()), pace=(b"p",), answer=None)


def test_money_is_remembered_for_its_payer_and_its_clock_goes_on() -> None:
    foresight = Foresight()
    foresight.note(ACME, opening(1000.0), 5.0)
    seen = foresight.money_of(ACME, 5.25)
    assert seen is not None
    assert (seen.funds.now, seen.pace) == (1000.25, (b"p",))
    assert foresight.money_of(OTHER, 5.25) is None


def test_money_that_was_seen_too_long_ago_is_not_known() -> None:
    foresight = Foresight()
    foresight.note(ACME, opening(1000.0), 5.0)
    assert foresight.money_of(ACME, 5.0 + FRESH_S) is not None
    assert foresight.money_of(ACME, 5.01 + FRESH_S) is None
    assert foresight.money_of(ACME, 4.9) is None


def test_a_question_is_new_once_and_one_without_a_key_always() -> None:
    foresight = Foresight()
    assert [foresight.is_new("a"), foresight.is_new("a"), foresight.is_new("b")] == [True, False, True]
    assert [foresight.is_new(None), foresight.is_new(None)] == [True, True]


def test_the_least_recently_used_goes_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(name) for name in "abc"] == [1, None, 3]
    nothing: Recent[str, int] = Recent(0)
    nothing.put("a", 1)
    assert nothing.get("a") is None
