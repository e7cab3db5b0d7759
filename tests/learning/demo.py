"""`make demo-learning`: a gateway learns from a month of its own traffic, and shows what that was worth.

Real processes, the real store and log, the real training, gates, registry and swap. What is simulated is the clock (a
day is as long as its requests take), the provider (`OutcomeReplay`: real outcomes of real models) and the user, who
says what a fifth of the answers were worth.

    each day     requests with `model: auto` go to the gateway; feedback goes to POST /v1/feedback
    each night   the log is written; a candidate is fitted, proven, gated; where it passes, promoted and swapped in
    at the end   on questions that nobody asked: the classifier of the first day, the one in force, and one that was
                 fitted to every outcome of every model on every question of the month
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import yaml
from numpy.typing import NDArray

from classifier import load_default
from classifier.model import DifficultyModel
from classifier.registry_writer import RegistryWriter
from classifier.signing import Signer, create_key
from policies.log_schema import DECISIONS, JUDGE, OUTCOMES
from router.decision_log import parquet
from router.decision_log.place import Place, part_path
from router.decision_log.rows import day_of
from router.decision_log.shipper import Shipper
from router.store import Store, embedded
from router.tenants.declared import DEMO_TENANT
from tests.learning import measure
from tests.learning.outcome_replay import OutcomeReplay, score_in
from tests.learning.traffic import MODELS, Month, ladder, month
from tests.serving import Process, serving
from training.abilities import listed
from training.learning.fit import Recipe, fit
from training.learning.gates import Gates, read_gates
from training.learning.ingest import read_log
from training.learning.ladders import head_success
from training.learning.promote import nightly
from training.rows import DataError

DAYS = 30
CALLERS = 8  # requests under way at once
SWAP_S = 60.0  # a busy machine may take its time; the promise of 5 s has a test of its own
# What the tenant says that a right answer is worth: near what the dearer models cost more, so that money matters.
ANSWER_VALUE_USD = 0.001
EXPLORE = 0.5  # the share of requests that try another rung: what was never tried cannot be learnt
HOLDOUT = 0.35  # of the feedback: a gain of some points needs hundreds of outcomes to be proven


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `folder`: for everything that is made; `out`: the report."""

    data: Path
    folder: Path
    out: Path
    requests: int = 5_000
    feedbacks: int = 1_000
    days: int = DAYS
    seed: int = 0
    gates: Gates = field(default_factory=Gates)


@dataclass(slots=True)
class Diary:
    """What happened, day by day."""

    days: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    nights: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    feedbacks: int = 0


async def run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """The whole month; returns the report, which stands in `plan.out` too."""
    started = time.monotonic()
    drawn = month(plan.data, requests=plan.requests, feedbacks=plan.feedbacks, seed=plan.seed)
    questions = len(np.unique(drawn.asked))
    say(f"{len(drawn.asked):,} requests on {questions:,} questions; {len(drawn.kept_back):,} kept back")
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    writer, public = _registry(plan.folder)
    diary = Diary()
    async with OutcomeReplay(drawn.outcomes) as replay:
        settings = _settings(plan, replay.base, writer.folder, public)
        (plan.folder / "rung.yaml").write_text(yaml.safe_dump(settings))
        gateway = serving(plan.folder, settings=settings, stop_s=30)
        process = await asyncio.to_thread(gateway.__enter__)
        try:
            await _month(plan, drawn, process, writer, diary, say)
        finally:
            await asyncio.to_thread(gateway.__exit__, None, None, None)
        calls = dict(replay.asked)
    say("measuring on the questions that nobody asked")
    report = {
        "what": "a simulated month of one tenant behind an outcome-replay upstream; see docs/guides/learning.md",
        "data": "ulab_llmrouter: real questions and real outcomes of three real models",
        "requests": plan.requests,
        "questions": questions,
        "questions_kept_back": len(drawn.kept_back),
        "feedbacks": diary.feedbacks,
        "calls": calls,
        **_worth(plan, drawn, writer),
        "days": diary.days,
        "nights": diary.nights,
        "seconds": round(time.monotonic() - started, 1),
    }
    plan.out.parent.mkdir(parents=True, exist_ok=True)
    plan.out.write_text(json.dumps(report, indent=1) + "\n")
    return report


def _registry(folder: Path) -> tuple[RegistryWriter, str]:
    key = folder / "signing.pem"
    public = create_key(key)
    writer = RegistryWriter(folder / "registry", Signer.read(key), by="the demonstration")
    writer.create()
    return writer, public


def _settings(plan: Plan, base: str, registry: Path, public: str) -> dict[str, Any]:
    return {
        "models": ladder(plan.data, base),
        "tenants": [{"id": DEMO_TENANT, "explore": EXPLORE, "answer_value_usd": ANSWER_VALUE_USD}],
        "cache": {"enabled": False},  # some questions are asked again, and shall be decided again
        "registry": {"folder": str(registry.absolute()), "public_keys": [public], "poll_s": 0.5},
        "log": {"ship_every_s": 3600},  # the nights write it
    }


async def _month(
    plan: Plan, drawn: Month, process: Process, writer: RegistryWriter, diary: Diary, say: Callable[[str], None]
) -> None:
    url = f"unix://{embedded.socket_path(plan.folder / '.rung')}"
    pepper = (plan.folder / ".rung" / "pepper").read_bytes()
    store = await Store.connect(url, pepper=pepper, upkeep=False, reply_timeout_s=30, connect_timeout_s=30)
    shipper = Shipper(store, Place(_log(plan)), reliability={})
    _, token = await store.directory.create_key(DEMO_TENANT, name="the tenant")
    try:
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {token}"}) as session:
            for day, requests in enumerate(np.array_split(np.arange(len(drawn.asked)), plan.days), start=1):
                diary.days.append(await _day(day, requests, drawn, process.url, session, diary))
                await shipper.ship()
                night = await asyncio.to_thread(_night, plan, writer)
                if night["promoted"]:
                    await _in_force(process.url, session, writer.reader.state().sequence)
                diary.nights.append({"night": day, **night})
                say(_line(diary))
    finally:
        await store.close()


def _log(plan: Plan) -> str:
    return str((plan.folder / ".rung" / "log").absolute())


async def _day(
    day: int,
    requests: NDArray[np.intp],
    drawn: Month,
    url: str,
    session: aiohttp.ClientSession,
    diary: Diary,
) -> dict[str, Any]:
    """One day's requests, and the feedback on them."""
    scores: list[float] = []
    costs: list[float] = []
    models: list[str] = []
    waiting = iter(requests.tolist())

    async def caller() -> None:
        for number in waiting:
            prompt = str(drawn.matrix.prompts[drawn.asked[number]])
            body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "max_tokens": 400}
            async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
                told = await reply.json()
                assert reply.status == 200, told
                score = score_in(told["choices"][0]["message"]["content"])
                scores.append(score)
                costs.append(float(reply.headers["x-rung-cost-usd"]))
                models.append(reply.headers["x-rung-model"])
                decision = reply.headers["x-rung-decision-id"]
            if drawn.told[number]:
                said = {"decision_id": decision, "score": score}
                async with session.post(f"{url}/v1/feedback", json=said) as reply:
                    assert reply.status == 200, await reply.text()
                diary.feedbacks += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return {
        "day": day,
        "requests": len(scores),
        "accuracy": round(float(np.mean(scores)), 4),
        "usd_per_1000": round(float(np.mean(costs)) * 1000, 5),
        "shares": {model: round(models.count(model) / len(models), 3) for model in MODELS},
        "feedbacks_so_far": diary.feedbacks,
    }


def _night(plan: Plan, writer: RegistryWriter) -> dict[str, Any]:
    """Fit, prove, gate; promote what passes."""
    started = time.monotonic()
    try:
        night = nightly(
            _log(plan),
            writer,
            work=plan.folder / "work",
            tenant=DEMO_TENANT,
            recipe=Recipe(holdout=HOLDOUT, seed=plan.seed),
            gates=plan.gates,
        )
    except DataError as error:
        return {"candidate": None, "promoted": False, "why": str(error)}
    refused = [verdict.why for verdict in night.verdicts if not verdict.passed]
    return {
        "candidate": night.version,
        "promoted": night.promoted,
        "why": "; ".join(refused) or "every gate was passed",
        "seconds": round(time.monotonic() - started, 1),
    }


async def _in_force(url: str, session: aiohttp.ClientSession, sequence: int) -> None:
    """Return when the running gateway decides by this state of the registry."""
    async with asyncio.timeout(SWAP_S):
        while True:
            async with session.get(f"{url}/metrics") as reply:
                found = re.search(r"^rung_classifier_sequence (\S+)$", await reply.text(), re.MULTILINE)
            if found is not None and float(found[1]) >= sequence:
                return
            await asyncio.sleep(0.05)


def _line(diary: Diary) -> str:
    day, night = diary.days[-1], diary.nights[-1]
    state = "promoted" if night["promoted"] else "not promoted"
    right, usd, told = day["accuracy"], day["usd_per_1000"], day["feedbacks_so_far"]
    return (
        f"day {day['day']:>2}: {right:.3f} right, ${usd:.4f} per 1,000; {told:>5} feedbacks;"
        f" night: {night['candidate'] or 'no candidate'}, {state} ({night['why'][:90]})"
    )


def _worth(plan: Plan, drawn: Month, writer: RegistryWriter) -> dict[str, Any]:
    """The figures, on the questions kept back."""
    version = writer.reader.state().serving(DEMO_TENANT).active or "default"
    test = drawn.matrix.take(drawn.kept_back)
    x = load_default().inputs.compute_many([str(prompt) for prompt in test.prompts])
    asked = drawn.matrix.take(np.unique(drawn.asked))
    expected = asked.usd.mean(axis=0)
    classifiers = {
        "first_day": load_default(),
        "learnt": writer.reader.load(version),
        "everything": _fitted_to_everything(plan, drawn),
    }
    success = {name: predicted(model, x) for name, model in classifiers.items()}
    curves = {name: measure.curve(q, expected, test.usd, test.score) for name, q in success.items()}
    chosen = (success["first_day"] * ANSWER_VALUE_USD - expected).argmax(axis=1)
    spend = float(test.usd[np.arange(len(test)), chosen].mean())
    dearest = np.quantile(expected, [0.0, 1.0])
    by_spend = [
        {"between_cheapest_and_dearest": share, **measure.compare(curves, float(np.interp(share, (0, 1), dearest)))}
        for share in (0.0, 0.25, 0.5, 0.75)
    ]
    return {"in_force": version, **measure.compare(curves, spend), "at_other_spends": by_spend}


def predicted(model: DifficultyModel, x: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(n, m) success of the ladder's models: by a head of its own where there is one, else by its ability."""
    levels = model.success_many(x)
    heads = head_success(model, x) if model.layout.heads else None
    columns: list[NDArray[np.float64]] = []
    for name in MODELS:
        if heads is not None and name in model.layout.heads:
            columns.append(np.asarray(heads[:, model.layout.heads.index(name)], np.float64))
        else:
            columns.append(np.array([np.interp(listed()[name], model.layout.abilities, row) for row in levels]))
    return np.stack(columns, axis=1)


def _fitted_to_everything(plan: Plan, drawn: Month) -> DifficultyModel:
    """The same recipe, told every outcome of every model on every question of the month."""
    source, goal = Place(_log(plan)), Place(str((plan.folder / "everything").absolute()))
    truth = {str(prompt): row for row, prompt in enumerate(drawn.matrix.prompts)}
    inputs = load_default().inputs
    by_input = {inputs.pack(inputs.compute(prompt)): row for prompt, row in truth.items()}
    seen: set[int] = set()
    for part in source.parts(table=DECISIONS):
        goal.write(part.path, source.read(part.path))
        rows: list[dict[str, Any]] = []
        for decision in parquet.decode(source.read(part.path)):
            x = np.array(decision["embedding"] + decision["features"], np.float32)
            question = by_input.get(inputs.pack(x))
            if question is not None and question not in seen:
                seen.add(question)
                rows += [_truth(decision, drawn, question, column) for column in range(len(MODELS))]
        if rows:
            path = part_path(OUTCOMES, DEMO_TENANT, day_of(rows[0]), "0", Path(part.path).stem)
            goal.write(path, parquet.encode(OUTCOMES, rows))
    log = read_log(goal.url)
    out = plan.folder / "everything" / "artefact"
    return fit(log, out, name="everything", version=1, recipe=Recipe(holdout=0.0, seed=plan.seed)).model


def _truth(decision: dict[str, Any], drawn: Month, question: int, column: int) -> dict[str, Any]:
    return {
        "outcome_id": f"{question}-{column}",
        "decision_id": decision["decision_id"],
        "tenant": DEMO_TENANT,
        "key": "truth",
        "created": decision["created"],
        "written": decision["created"],
        "source": JUDGE,
        "value": float(drawn.matrix.score[question, column]),
        "reliability": 0.99,
        "model": MODELS[column],
        "tier": "truth",
        "allowance": 0,
    }


def gates_of(path: Path | None) -> Gates:
    """The gates of a file; training's defaults without one."""
    return read_gates(path)
