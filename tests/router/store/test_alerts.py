"""What a budget's spending has reached is found once, by whoever looks first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from router.errors import StoreUnavailable
from router.store import Alert, Store, Terms, Window, alerts
from router.store.alerts import FIRST_PAUSE_S, MOST_TRIES
from router.store.scripts import Ask


@pytest.fixture
async def acme(store: Store) -> Store:
    """A tenant with 1,000 nano-dollars a day, whose clock stands at the first of March."""
    await store.directory.create_tenant("acme")
    freeze(store, 2026, 3, 1)
    await store.ledger.set_budget("acme", "day", 1000, Window.DAY)
    return store


def freeze(store: Store, *moment: int) -> None:
    set_clock(store, int(datetime(*moment, tzinfo=UTC).timestamp() * 1000))  # type: ignore[arg-type]


def set_clock(store: Store, now_ms: int) -> None:
    store.ledger.frozen_ms = store.books.frozen_ms = store.alerts.frozen_ms = now_ms


async def spend(store: Store, name: str, nano: int) -> None:
    await store.ledger.settle(await store.ledger.reserve("acme", name, nano), nano)


async def thresholds(store: Store, *, refused: bool = False) -> list[float]:
    return [alert.threshold for alert in (await store.alerts.look("acme", refused=refused)).fresh]


async def test_each_threshold_is_found_once_in_a_window_and_again_in_the_next(acme: Store) -> None:
    assert await thresholds(acme) == []
    await spend(acme, "a", 499)
    assert await thresholds(acme) == []
    await spend(acme, "b", 1)
    assert await thresholds(acme) == [0.5]
    assert await thresholds(acme) == []
    await spend(acme, "c", 500)
    assert await thresholds(acme) == [0.8, 1.0]
    freeze(acme, 2026, 3, 2)
    await spend(acme, "d", 600)
    assert await thresholds(acme) == [0.5]
    told = await acme.alerts.alerts("acme")
    assert [(alert.starts, alert.threshold) for alert in told] == [
        ("2026-03-02", 0.5),
        ("2026-03-01", 1.0),
        ("2026-03-01", 0.8),
        ("2026-03-01", 0.5),
    ]
    assert told[0] == Alert(
        tenant="acme",
        budget="day",
        scope="",
        window=Window.DAY,
        starts="2026-03-02",
        threshold=0.5,
        limit_nano=1000,
        spent_nano=600,
        at=datetime(2026, 3, 2, tzinfo=UTC).timestamp(),
    )


async def test_of_many_that_look_at_once_one_finds_it(acme: Store) -> None:
    await spend(acme, "a", 1000)
    found = await asyncio.gather(*(acme.alerts.look("acme") for _ in range(50)))
    assert sorted(alert.threshold for one in found for alert in one.fresh) == [0.5, 0.8, 1.0]


async def test_a_budget_names_its_own_thresholds_or_none(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=Terms(alerts=(0.1, 0.25)))
    await spend(acme, "a", 300)
    assert await thresholds(acme) == [0.1, 0.25]
    await acme.ledger.set_budget("acme", "day", 2000, Window.DAY, terms=Terms(alerts=()))
    await spend(acme, "b", 1700)
    assert await thresholds(acme) == []
    assert [grant.terms.alerts for grant in await acme.ledger.budgets("acme")] == [()]
    with pytest.raises(ValueError, match="above 0"):
        Terms(alerts=(0.0,))


async def test_a_raised_limit_is_told_anew(acme: Store) -> None:
    await spend(acme, "a", 600)
    assert await thresholds(acme) == [0.5]
    await acme.ledger.set_budget("acme", "day", 1200, Window.DAY)
    assert await thresholds(acme) == [0.5]


async def test_budgets_of_keys_and_organisations_are_looked_at(acme: Store) -> None:
    await acme.directory.create_tenant("search@acme")
    await acme.ledger.set_budget("search@acme", "k", 100, Window.MONTH, scope="key:k", terms=Terms(alerts=(0.5,)))
    hold = await acme.ledger.reserve("search@acme", "h", 900, scopes=["key:x"])
    await acme.ledger.settle(hold, 900)
    assert (await acme.alerts.look("search@acme")).fresh == ()
    hold = await acme.ledger.reserve("search@acme", "h2", 50, scopes=["key:k"])
    await acme.ledger.settle(hold, 50)
    (alert,) = (await acme.alerts.look("search@acme")).fresh
    assert (alert.budget, alert.scope, alert.starts, alert.spent_nano) == ("k", "key:k", "2026-03", 50)
    assert await thresholds(acme) == [0.5, 0.8]


async def test_a_refusal_tells_of_exhaustion_where_hardly_anything_is_left(acme: Store) -> None:
    await spend(acme, "a", 850)
    assert await thresholds(acme, refused=True) == [0.5, 0.8], "a tenth and more is left: the request was too large"
    await spend(acme, "b", 60)
    assert await thresholds(acme) == []
    assert await thresholds(acme, refused=True) == [1.0]
    assert await thresholds(acme, refused=True) == []


async def test_a_webhook_waits_until_it_is_delivered_with_longer_and_longer_pauses(acme: Store) -> None:
    await spend(acme, "a", 500)
    now_ms = acme.alerts.frozen_ms or 0
    (errand,) = (await acme.alerts.look("acme", webhook=True)).errands
    assert (errand.alert.threshold, errand.tries) == (0.5, 0)
    assert (await acme.alerts.look("acme", webhook=True)).errands == (), "somebody is at it"
    for tries in (1, 2, 3):
        now_ms += round(FIRST_PAUSE_S * 1000 * 2 ** (tries - 1))
        set_clock(acme, now_ms - 1)
        assert (await acme.alerts.look("acme", webhook=True)).errands == ()
        set_clock(acme, now_ms)
        (errand,) = (await acme.alerts.look("acme", webhook=True)).errands
        assert errand.tries == tries
    assert [alert.waiting for alert in await acme.alerts.alerts("acme")] == [True]
    await acme.alerts.delivered(errand)
    assert [alert.waiting for alert in await acme.alerts.alerts("acme")] == [False]
    freeze(acme, 2026, 3, 2)
    assert (await acme.alerts.look("acme", webhook=True)).errands == ()


async def test_a_webhook_that_nobody_takes_is_given_up(acme: Store) -> None:
    await spend(acme, "a", 500)
    sent = 0
    for day in range(1, 3 + MOST_TRIES):
        freeze(acme, 2026, 4, day)
        await acme.ledger.set_budget("acme", "day", 10**9, Window.DAY)
        sent += len((await acme.alerts.look("acme", webhook=True)).errands)
    assert sent == 0, "April's first look found nothing of March"
    await spend(acme, "b", 10**9)
    for hour in range(3, 3 + 20):
        freeze(acme, 2026, 4, 12, hour)
        sent += len((await acme.alerts.look("acme", webhook=True)).errands)
    assert sent == 3 * MOST_TRIES
    assert [alert.waiting for alert in await acme.alerts.alerts("acme")] == [False] * 3


async def test_only_the_newest_alerts_are_kept_but_those_of_windows_that_never_end(
    acme: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "KEPT", 4)
    await acme.ledger.set_budget("acme", "all", 1000, Window.TOTAL, terms=Terms(alerts=(0.1,)))
    for day in range(1, 7):
        freeze(acme, 2026, 3, day)
        await acme.ledger.set_budget("acme", "day", 100, Window.DAY, terms=Terms(alerts=(0.5,)))
        await spend(acme, f"h{day}", 100)
        await acme.alerts.look("acme")
    kept = [(alert.budget, alert.starts[-2:]) for alert in await acme.alerts.alerts("acme")]
    assert sorted(kept) == [("all", ""), ("day", "04"), ("day", "05"), ("day", "06")]
    assert await acme.connection.ask(Ask(("TTL", "b:{acme}:al"), int)) > 700 * 86_400


async def test_one_process_of_all_looks_at_a_time(acme: Store) -> None:
    assert [await acme.alerts.lease(60) for _ in range(3)] == [True, False, False]
    assert await acme.alerts.tenants() == ["acme"]


async def test_nothing_is_found_in_closed_books(acme: Store) -> None:
    await acme.ledger.close_account("acme")
    with pytest.raises(StoreUnavailable, match="rebuild"):
        await acme.alerts.look("acme")
