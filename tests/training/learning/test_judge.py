"""Labels are bought where they teach most, blind, within their budget, and never twice."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from aiohttp import web
from typer.testing import CliRunner

from router.decision_log import parquet
from router.decision_log.place import Place
from tests.gateway import Running, fake_settings, running
from tests.router.api.conftest import Loop
from training.cli import app
from training.learning.candidates import Candidate, most_teaching, read_candidates
from training.learning.judge import CommandCheck, Metered, PairJudge
from training.learning.labelling import label, read_journal, write_outcomes
from training.rows import DataError

RUNGS = (("small", "economy"), ("large", "premium"))


def candidate(number: int, *success: float, vector: Sequence[float] = (1.0, 0.0)) -> Candidate:
    return Candidate(
        decision_id=f"d{number}",
        tenant="demo",
        created=float(number),
        text=f"question {number}",
        rungs=RUNGS,
        success=success or (0.5, 0.6),
        vector=np.asarray(vector, np.float32),
    )


class Scripted:
    """A gateway whose large model is right, whose small one is wrong, and whose judge sees which is which."""

    def __init__(self, *, biased: bool = False) -> None:
        self.calls: list[tuple[str, str]] = []
        self._biased = biased

    async def ask(self, model: str, content: str, max_tokens: int | None = None) -> tuple[str, float]:
        del max_tokens
        self.calls.append((model, content))
        if model != "judge":
            return ("right" if model == "large" else "wrong"), 0.01
        first = content.partition("<first_answer>\n")[2].partition("\n")[0]
        verdict = "FIRST" if self._biased or first == "right" else "SECOND"
        return f"Let me see. FIRST? No:\n{verdict}", 0.02


async def bought(tmp_path: Path, gateway: Scripted, count: int, **changes: Any) -> list[Any]:
    plan: dict[str, Any] = {"questions": 10, "budget_usd": 100.0, "journal": tmp_path / "labels.jsonl", **changes}
    paid = Metered(gateway)
    return await label([candidate(n) for n in range(count)], paid, PairJudge(paid, "judge"), **plan)


async def test_a_judge_sees_both_orders_and_never_a_models_name(tmp_path: Path) -> None:
    gateway = Scripted()
    (one,) = await bought(tmp_path, gateway, 1)
    assert {made.model: made.value for made in one.labels} == {"small": 0.0, "large": 1.0}
    shown = [content for model, content in gateway.calls if model == "judge"]
    assert len({content.partition("<first_answer>")[2] for content in shown}) == len(shown) == 2
    assert not any(name in content for content in shown for name in ("small", "large", "premium"))


async def test_a_judge_that_prefers_a_place_has_said_nothing(tmp_path: Path) -> None:
    (one,) = await bought(tmp_path, Scripted(biased=True), 1)
    assert [made.value for made in one.labels] == [0.5, 0.5]


async def test_a_run_goes_on_where_it_stopped_and_pays_nothing_twice(tmp_path: Path) -> None:
    first = Scripted()
    await bought(tmp_path, first, 5, questions=2)
    journal = tmp_path / "labels.jsonl"
    journal.write_text(journal.read_text() + '{"decision_id": "d9", "cut')  # a crash in the middle of a line
    second = Scripted()
    done = await bought(tmp_path, second, 5, questions=4)
    assert [one.decision_id for one in done] == ["d0", "d1", "d2", "d3"]
    assert {content for model, content in second.calls if model != "judge"} == {"question 2", "question 3"}
    assert list(read_journal(journal)) == ["d0", "d1", "d2", "d3"]


async def test_the_budget_ends_it(tmp_path: Path) -> None:
    done = await bought(tmp_path, Scripted(), 9, budget_usd=0.1)  # a question costs 2 answers and 2 verdicts: $0.06
    assert len(done) == 2
    assert sum(one.usd for one in done) == pytest.approx(0.12)


async def test_a_question_that_fails_is_left_out_and_said(tmp_path: Path) -> None:
    class Failing(Scripted):
        async def ask(self, model: str, content: str, max_tokens: int | None = None) -> tuple[str, float]:
            if content == "question 0":
                raise DataError("the gateway says no")
            return await super().ask(model, content, max_tokens)

    said: list[str] = []
    done = await bought(tmp_path, Failing(), 2, say=said.append)
    assert [one.decision_id for one in done] == ["d1"]
    assert "says no" in said[0]


async def test_what_was_paid_for_nothing_counts_against_the_budget_and_is_not_paid_again(tmp_path: Path) -> None:
    class Mumbling(Scripted):
        async def ask(self, model: str, content: str, max_tokens: int | None = None) -> tuple[str, float]:
            answer, usd = await super().ask(model, content, max_tokens)
            return ("hm" if model == "judge" else answer), usd

    done = await bought(tmp_path, Mumbling(), 9, budget_usd=0.1)  # two answers and one verdict that is none: $0.04
    assert [(one.labels, one.usd) for one in done] == [((), pytest.approx(0.04))] * 3
    again = Scripted()
    done = await bought(tmp_path, again, 4, budget_usd=1.0)
    assert [len(one.labels) for one in done] == [0, 0, 0, 2]
    assert {content for model, content in again.calls if model != "judge"} == {"question 3"}
    assert write_outcomes(str(tmp_path / "log"), done) == 2


async def test_a_check_is_a_program_that_scores_each_answer() -> None:
    code = "import json, sys; print(float(json.load(sys.stdin)['answer'] == 'right'))"
    check = CommandCheck("mine", [sys.executable, "-c", code])
    assert await check("?", ["right", "wrong"]) == [1.0, 0.0]
    assert check.source == "checker.mine"
    with pytest.raises(DataError, match="gave no score"):
        await CommandCheck("mine", [sys.executable, "-c", "print('fine')"])("?", ["right"])


def test_doubt_closeness_and_novelty_come_first() -> None:
    sure, torn = candidate(1, 0.05, 0.95), candidate(2, 0.5, 0.52)
    assert most_teaching([sure, torn], np.zeros((0, 2), np.float32))[0] is torn
    old, new = candidate(3, 0.5, 0.6, vector=(1, 0)), candidate(4, 0.5, 0.6, vector=(0, 1))
    assert most_teaching([old, new], np.array([[1, 0.01]], np.float32))[0] is new


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose large model is right and whose judge (the medium one) tells."""
    loop = Loop()
    folder = tmp_path_factory.mktemp("judged")

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        model, shown = body["model"], body["messages"][-1]["content"]
        words = "right" if model == "fake-large" else "wrong"
        if "<first_answer>" in shown:
            words = "FIRST" if shown.partition("<first_answer>\n")[2].startswith("right") else "SECOND"
        choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}
        return web.json_response(
            {"id": "x", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
        )

    async def start() -> tuple[web.AppRunner, int]:
        service = web.Application()
        service.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(service)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    runner, port = loop.run(start())
    tenants = [{"id": "acme", "log_text": True}]
    (folder / "rung.yaml").write_text(yaml.safe_dump({"tenants": tenants}))
    try:
        with running(fake_settings(f"http://127.0.0.1:{port}/v1", folder / ".rung", tenants=tenants)) as made:
            yield made
    finally:
        loop.run(runner.cleanup())
        loop.stop()


def test_the_command_labels_logged_questions_through_the_gateway(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    from router.cli.commands import build

    folder = gateway.settings.store.data_dir.parent
    monkeypatch.chdir(folder)
    key = CliRunner().invoke(build(), ["keys", "create", "acme"]).stdout.split()[-1]
    for number in range(3):
        body = {"model": "auto", "messages": [{"role": "user", "content": f"What is {number} + {number}?"}]}
        headers = {"authorization": f"Bearer {key}"}
        httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers, timeout=30).raise_for_status()
    gateway.booked()  # the command reads the store by itself
    assert CliRunner().invoke(build(), ["logs", "ship"]).exit_code == 0
    monkeypatch.setenv("RUNG_API_KEY", key)
    log = str(folder / ".rung" / "log")
    words = ["label", "--logs", log, "--gateway", gateway.base_url, "--judge", "medium", "--questions", "2"]
    words += ["--model", "small", "--model", "large"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "4 labels of 2 questions" in done.output
    assert CliRunner().invoke(app, words).exit_code == 0  # nothing is left to buy, and the same labels are written
    rows = [
        row
        for part in Place(log).parts(table="outcomes")
        for row in parquet.decode(Place(log).read(part.path))
        if row["source"] == "judge"
    ]
    assert len(rows) == 4
    assert {(row["model"], row["value"]) for row in rows} == {("small", 0.0), ("large", 1.0)}
    candidates, known = read_candidates(log)
    assert len(candidates) == 3
    assert len(known) == 2


def test_a_log_without_texts_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="log_text"):
        read_candidates(str(tmp_path))
    assert write_outcomes(str(tmp_path), []) == 0
