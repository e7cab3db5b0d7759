"""The store on a real cluster: three primaries, three replicas, one primary killed."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from redis.crc import key_slot

from router.errors import BudgetExhausted, StoreUnavailable
from router.store import Receipt, Settlement, Store, Window
from router.store.cluster import ClusterConnection, SlotMap, slot_of
from tests.patience import Stopwatch
from tests.store_servers import PATIENT, PEPPER, SLOTS, Node, cluster, until

ANSWER_S = 0.25  # promise 8
TENANTS = [f"tenant{number}" for number in range(12)]


def node_of(tenant: str, nodes: list[Node]) -> Node:
    """The primary of a tenant's slot: see `store_servers.cluster`."""
    return nodes[key_slot(tenant.encode()) // (SLOTS // 3 + 1)]


async def test_a_killed_primary_stops_its_own_tenants_only_and_loses_no_money(tmp_path: Path) -> None:
    with cluster(tmp_path) as nodes:
        store = await Store.connect(f"redis://127.0.0.1:{nodes[0].port}", pepper=PEPPER, upkeep=False, **PATIENT)
        assert isinstance(store.connection, ClusterConnection)
        for tenant in TENANTS:
            await store.directory.create_tenant(tenant)
            await store.ledger.set_budget(tenant, "main", 100, Window.TOTAL)
        await store.directory.create_tenant(f"team@{TENANTS[0]}")
        shared = await store.ledger.reserve(f"team@{TENANTS[0]}", "shared", 10)
        assert (await store.ledger.standing(TENANTS[0])).total.held_nano == 10, "an organisation is one slot"
        await store.ledger.void(shared)
        _, token = await store.directory.create_key(TENANTS[0])
        assert (await store.directory.principal(token)).tenant.id == TENANTS[0]
        assert len(await store.directory.tenants()) == len(TENANTS) + 1
        admitted = await asyncio.gather(*(admits(store, tenant, f"h{n}") for tenant in TENANTS for n in range(15)))
        assert sum(admitted) == 10 * len(TENANTS)
        for tenant in TENANTS:
            await store.ledger.set_budget(tenant, "main", 1000, Window.TOTAL)
        holds = {tenant: await store.ledger.reserve(tenant, "last", 10) for tenant in TENANTS}

        wrong = store.connection._map
        store.connection._map = replace(wrong, owners=wrong.owners[1:] + wrong.owners[:1])
        assert (await store.ledger.standing(TENANTS[0])).total.held_nano == 110, "a slot that has moved is found"
        assert store.connection._map == wrong

        victim = nodes[1]
        hit = [tenant for tenant in TENANTS if node_of(tenant, nodes) is victim]
        spared = [tenant for tenant in TENANTS if tenant not in hit]
        assert hit
        assert spared
        os.kill(victim.process.pid, signal.SIGKILL)
        assert await slowest_refusal(store, hit[0]) < ANSWER_S
        endings = {
            tenant: await store.closing(
                tenant,
                settlement=Settlement(hold=holds[tenant], cost_nano=7),
                receipt=Receipt(decision_id="d", content=b"{}"),
            )
            for tenant in TENANTS
        }
        assert {tenant: ending.outcome for tenant, ending in endings.items() if ending} == {
            tenant: "waiting" if tenant in hit else "settled" for tenant in TENANTS
        }
        await until(lambda: flushed(store))
        for tenant in TENANTS:
            proof = await store.books.verify(tenant)
            assert (proof.exact, proof.spent_nano, proof.open_holds) == (True, 7, 10)
        await store.close()


async def admits(store: Store, tenant: str, hold_id: str) -> bool:
    try:
        await store.ledger.reserve(tenant, hold_id, 10)
    except BudgetExhausted:
        return False
    return True


async def slowest_refusal(store: Store, tenant: str) -> float:
    waits: list[float] = []
    for number in range(5):
        with Stopwatch() as watch, pytest.raises(StoreUnavailable):
            await store.ledger.reserve(tenant, f"away{number}", 10)
        waits.append(watch.own_s)
    return max(waits)


async def flushed(store: Store) -> bool:
    await store.outbox.flush()
    return len(store.outbox) == 0


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "b:{acme}:rec"), b"acme"),
        (("EVALSHA", "0" * 40, 1, "b:{acme}:acct", "x"), b"acme"),
        (("SET", "b:rev", 1), b"b:rev"),
    ],
)
def test_a_command_goes_to_the_slot_of_its_key(command: tuple[str, ...], key: bytes) -> None:
    assert slot_of(command) == key_slot(key)
    assert slot_of(("PING",)) == 0


def test_slots_have_the_owner_whose_range_they_lie_in() -> None:
    slots = SlotMap(starts=(0, 100, 200), owners=(("a", 1), ("b", 2), ("a", 1)), nodes=frozenset())
    assert [slots.owner(slot)[0] for slot in (0, 99, 100, 199, 200, 16_383)] == list("aabbaa")
    with pytest.raises(StoreUnavailable, match="bring the shard back"):
        SlotMap(starts=(), owners=(), nodes=frozenset()).owner(0)
