"""Promises 1, 2, 3 and 5: no overspend, exact books, every hold ends, nothing without a price."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from typing import Any

import yaml

from router.store import Store, embedded
from router.testing import Answer
from tests.faults import mixed
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.stage import Stage, happens, question, staged
from tests.gateway import fake_ladder
from tests.router.store.test_faults import HOLDER
from tests.serving import clean_environment, rung
from tests.store_servers import PATIENT_S, Node, cluster

DIME = 10**8
# A model at $100 a million output tokens: a thousand of them are a dime, and the hold is as much.
DEAR = {"input": 0, "output": 100}


@promise(1)
async def a_budget_admits_what_it_pays_for(rig: Rig) -> list[Finding]:
    requests, admitted = rig.of(1_000, 120), rig.of(50, 10)
    async with staged(rig.place("dimes"), workers=rig.of(4, 2), models=_dear) as stage:
        stage.upstream.default = Answer(input_tokens=1, output_tokens=1_000)
        tenant = await stage.tenant("acme", limit_nano=admitted * DIME)
        statuses = Counter(await asyncio.gather(*(_status(stage, tenant, number) for number in range(requests))))
        spent = await stage.settled(tenant)
    return [
        Finding(
            number=1,
            name="no overspend",
            done=f"{requests:,} parallel requests of $0.10 on a budget of ${admitted / 10:g}, {rig.of(4, 2)} processes",
            figure=f"{statuses[200]} admitted, ${spent / 1e9:g} spent",
            bound=f"exactly {admitted}",
            holds=statuses[200] == admitted == spent // DIME
            and sum(statuses.values()) == requests
            and statuses[429] == requests - admitted,
        )
    ]


def _dear(base_url: str) -> list[dict[str, Any]]:
    return [{**fake_ladder(base_url)[0], "id": "dear", "prices": DEAR, "max_output": 1_000}]


def _unpriced(base_url: str) -> list[dict[str, Any]]:
    model = {**fake_ladder(base_url)[2], "id": "unpriced", "upstream": "openai/nobody-knows-it"}
    del model["prices"]
    return [model]


async def _status(stage: Stage, tenant: str, number: int) -> int:
    status, _, _ = await stage.post(tenant, question(f"Question {number}?", model="dear", max_tokens=1_000))
    return status


@promise(1)
async def the_ledger_as_a_state_machine(rig: Rig) -> list[Finding]:
    steps = rig.of(10_000, 300)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/router/store/test_ledger_machine.py"),
        env={**os.environ, "RUNG_MACHINE_STEPS": str(steps)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    told = "no counterexample" if process.returncode == 0 else output.decode().strip()[-300:]
    return [
        Finding(
            number=1,
            name="no overspend in any order",
            done=f"a state machine of {steps:,} random steps against a model of the ledger",
            figure=told,
            bound="no counterexample",
            holds=process.returncode == 0 and b".." in output,
        )
    ]


@promise(2)
async def mixed_traffic_with_kills(rig: Rig) -> list[Finding]:
    requests, kills = rig.of(10_000, 200), rig.of(8, 0)
    if rig.quick:
        stage = await rig.stage()
        run = await mixed.mixed(stage, requests)
        crashes = stage.process.log.count("Traceback")
    else:
        async with staged(rig.place("mixed"), workers=4) as stage:
            run = await mixed.mixed(stage, requests, kills, mixed.worker_killer())
            crashes = stage.process.log.count("Traceback")
    done = f"{requests:,} mixed requests in {run.took_s:.0f} s, {rig.of(4, 2)} processes, {run.faults} killed, Valkey"
    return _books(run, done, crashes)


@promise(2)
async def mixed_traffic_on_a_cluster(rig: Rig) -> list[Finding]:
    if rig.quick:
        return []
    requests = 10_000
    with cluster(rig.place("cluster")) as nodes:
        url = f"redis://127.0.0.1:{nodes[0].port}"
        async with staged(rig.place("clustered"), workers=4, store_url=url, RUNG_STORE__TIMEOUT_MS="1000") as stage:
            run = await mixed.mixed(stage, requests, 1, _primary_killer(nodes))
            crashes = stage.process.log.count("Traceback")
    done = f"{requests:,} mixed requests in {run.took_s:.0f} s, 4 processes, cluster of 3+3, one primary killed"
    return _books(run, done, crashes)


def _primary_killer(nodes: list[Node]) -> mixed.Fault:
    async def strike(_stage: Stage) -> None:
        nodes[1].process.kill()

    return strike


def _books(run: mixed.Run, done: str, crashes: int) -> list[Finding]:
    audit = run.audit
    assert audit is not None
    told = "; ".join(audit.examples[:3])
    return [
        Finding(
            number=2,
            name="exact books",
            done=done,
            figure=f"{audit.difference_nano} nano-dollars of difference over {audit.exact:,} exact entries; "
            f"{audit.estimated} marked estimates (ours ${audit.ours_estimated_nano / 1e9:.6f}, theirs "
            f"${audit.theirs_estimated_nano / 1e9:.6f}); {audit.unbooked} bills unbooked"
            + (f" ({told})" if told else ""),
            bound="0 of difference, 0 unbooked",
            holds=audit.difference_nano == 0 and audit.unbooked == 0 and audit.exact > 0 and audit.proofs_exact,
        ),
        Finding(
            number=3,
            name="every hold ends",
            done=done,
            figure=f"{run.held_nano} nano-dollars held at the end; statuses {dict(sorted(run.statuses.items()))}",
            bound="0; no 500, no traceback",
            holds=run.held_nano == 0 and run.statuses["500"] == 0 and crashes == 0,
        ),
        Finding(
            number=1,
            name="no overspend under faults",
            done=done,
            figure=f"{run.overspends} overspends in {run.looks:,} looks at the budgets",
            bound="0",
            holds=run.overspends == 0 and run.looks > 0,
        ),
    ]


@promise(3)
async def holders_killed_at_random_points(rig: Rig) -> list[Finding]:
    kills = rig.of(50, 6)
    chance = random.Random(3)  # noqa: S311 - the same moments at every run
    folder = rig.place("holders")
    with embedded.start(folder) as server:
        store = await Store.connect(server.url, pepper=b"p" * 32, reply_timeout_s=PATIENT_S, upkeep=False)
        await store.directory.create_tenant("acme")
        for number in range(kills):
            holder = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", HOLDER, server.url, f"k{number}"), stdout=asyncio.subprocess.PIPE
            )
            assert holder.stdout is not None
            await holder.stdout.readline()
            await asyncio.sleep(chance.uniform(0, 0.05))  # anywhere between two operations: the moment is the fault
            holder.kill()
            await holder.communicate()

        async def nothing_held() -> bool:
            return (await store.ledger.standing("acme")).total.held_nano == 0

        ended = await happens(nothing_held, 30)
        proof = await store.books.verify("acme")
        await store.close()
    return [
        Finding(
            number=3,
            name="holds of the dead end",
            done=f"{kills} processes killed (SIGKILL) at random moments between reserve and settle",
            figure=f"{proof.open_holds} holds left; {len(proof.differences)} counters differ from the record",
            bound="0 and 0",
            holds=ended and proof.open_holds == 0 and proof.exact,
        )
    ]


@promise(5)
async def a_model_without_a_price_is_not_called(rig: Rig) -> list[Finding]:
    """A gateway with one does not start; a running one refuses the configuration that brings one."""
    folder = rig.place("unpriced")
    folder.mkdir(parents=True)
    (folder / "rung.yaml").write_text(yaml.safe_dump({"models": [*_unpriced("http://127.0.0.1:9/v1")]}))
    process = await asyncio.create_subprocess_exec(
        *(rung(), "serve", "--port", "0"),
        cwd=folder,
        env=clean_environment(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    stage = await rig.stage()
    tenant = await stage.tenant(rig.fresh("unpriced"))
    path = stage.process.folder / "rung.yaml"
    before = path.read_text()
    path.write_text(
        yaml.safe_dump({"models": [*fake_ladder(stage.upstream.openai_base), *_unpriced(stage.upstream.openai_base)]})
    )

    async def refused() -> bool:
        return "there is no price for openai/nobody-knows-it" in stage.process.log

    noticed = await happens(refused, 20)
    status, body, _ = await stage.post(tenant, question("What does it cost?", model="unpriced"))
    served, _, _ = await stage.post(tenant, question("And this?", model="small"))
    path.write_text(before)
    clear = "there is no price for openai/nobody-knows-it" in output and "Traceback" not in output
    return [
        Finding(
            number=5,
            name="no price, no call",
            done="a gateway started with a model without a price, and a running one given it",
            figure=f"start: status {process.returncode}, remedy told: {clear}; reload refused: {noticed}, then"
            f" {status} {body['error']['code']} for it and {served} for the others",
            bound="not 0, told; refused, 404, 200",
            holds=bool(process.returncode) and clear and noticed and (status, served) == (404, 200),
        )
    ]
