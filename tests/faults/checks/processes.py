"""Promises 13 and 17: processes that end in order and stay lean, and model files that are not what they should be."""

from __future__ import annotations

import asyncio
import json
import pickle
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from classifier import artefact
from classifier.registry import MAX_BYTES, Registry, RegistryError
from classifier.registry_writer import RegistryWriter
from classifier.signing import Signer, create_key
from router.testing import Answer
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.soak import soak
from tests.faults.stage import Stage, question, staged
from tests.serving import WITHIN_S, is_ready


@promise(13)
async def a_stopped_gateway_drains(rig: Rig) -> list[Finding]:
    streams = rig.of(40, 8)
    async with staged(rig.place("drained"), workers=2, settings={"server": {"drain_timeout_s": 20}}) as stage:
        tenant = await stage.tenant("acme")
        gate = asyncio.Event()
        stage.upstream.default = Answer(text="one two three", between=gate)
        asking = [asyncio.create_task(_stream(stage, tenant, number)) for number in range(streams)]
        await stage.upstream.arrived(streams)
        stage.process.popen.send_signal(signal.SIGTERM)
        off = await asyncio.to_thread(_goes_off, stage)
        gate.set()
        ends = await asyncio.gather(*asking)
        code = await asyncio.to_thread(stage.process.popen.wait, WITHIN_S)
        whole = sum(text.endswith("data: [DONE]\n\n") for text in ends)
        log = stage.process.log
        shown = await asyncio.to_thread(_shown, stage)
    billed = sum(bill.input * 5_000 + bill.output * 25_000 for bill in stage.upstream.bills)
    exact = f"spent in all: ${billed / 1e9:g}, held: $0.00" in shown
    return [
        Finding(
            number=13,
            name="SIGTERM drains",
            done=f"{streams} streams under way when the gateway is told to stop, 2 processes",
            figure=f"readiness off: {off}; {whole} streams ended whole; exit status {code}; "
            f"books equal the bill: {exact}",
            bound=f"off, {streams}, 0, equal",
            holds=off and whole == streams and code == 0 and exact and "Traceback" not in log,
        )
    ]


def _goes_off(stage: Stage) -> bool:
    try:
        import time

        deadline = time.monotonic() + 20
        while is_ready(stage.process.url, within_s=10):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
    except OSError:
        return True
    return True


async def _stream(stage: Stage, tenant: str, number: int) -> str:
    body = question(f"Stream {number}?", stream=True)
    async with stage.session.post(stage.chat_url, json=body, headers=stage.headers(tenant)) as reply:
        return await reply.text()


def _shown(stage: Stage) -> str:
    """`rung tenants show` after the end: the books outlive the gateway."""
    from tests.faults.stage import PEPPER
    from tests.serving import clean_environment, rung

    command = [rung(), "tenants", "show", "acme"]
    environment = clean_environment(stage.process.folder, RUNG_STORE__PEPPER=PEPPER)
    done = subprocess.run(
        command, cwd=stage.process.folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@promise(13)
async def a_soak_stays_flat(rig: Rig) -> list[Finding]:
    return await soak(rig.place("soak"), minutes=rig.of(3, 0) or 0.2)


def _altered_heads(folder: Path) -> None:
    path = folder / "heads.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _altered_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "version": manifest["version"] + 1}))


def _unsigned(folder: Path) -> None:
    (folder / "manifest.sig").unlink()


def _oversized(folder: Path) -> None:
    with (folder / "encoder.safetensors").open("ab") as file:
        file.truncate(MAX_BYTES + 1)


def _pickled(folder: Path) -> None:
    (folder / "heads.safetensors").write_bytes(pickle.dumps({"weights": [1.0]}))


def _link(folder: Path) -> None:
    (folder / "vocabulary.txt").unlink()
    (folder / "vocabulary.txt").symlink_to("/etc/passwd")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "unsigned": _unsigned,
    "altered weights": _altered_heads,
    "altered manifest": _altered_manifest,
    "too big": _oversized,
    "a pickle": _pickled,
    "a link out": _link,
}


@promise(17)
async def a_model_file_that_is_not_what_it_should_be_is_refused(rig: Rig) -> list[Finding]:
    folder = rig.place("registry")
    folder.mkdir(parents=True)
    public = create_key(folder / "key")
    writer = RegistryWriter(folder / "good", Signer.read(folder / "key"))
    before = writer.create()
    version = writer.add(artefact.DEFAULT, why="the rig's")
    writer.promote(version, why="the rig's")
    taken = [] if Registry(folder / "good", [public]).load(version) else ["the good one was refused"]
    for name, damage in DAMAGES.items():
        copy = folder / name.replace(" ", "-")
        shutil.copytree(folder / "good", copy)
        damage(copy / "artefacts" / version)
        if _loads(Registry(copy, [public]), version):
            taken.append(name)
    older = Registry(folder / "good", [public], least_sequence=before.sequence + 100)
    if _loads(older, version):
        taken.append("an older state")
    stranger = create_key(folder / "stranger")
    if _loads(Registry(folder / "good", [stranger]), version):
        taken.append("a stranger's signature")
    return [
        Finding(
            number=17,
            name="no doubtful model is activated",
            done=f"{len(DAMAGES) + 2} ways: {', '.join(DAMAGES)}, an older state, a stranger's signature",
            figure=f"{len(taken)} taken {taken or ''}".strip(),
            bound="0",
            holds=not taken,
        )
    ]


def _loads(registry: Registry, version: str) -> bool:
    try:
        registry.load(version)
    except RegistryError:
        return False
    return True
