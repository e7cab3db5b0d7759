"""From a request to a row, over the running gateway and the commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import yaml
from typer.testing import CliRunner

from classifier import load_default
from policies.word_runs import read_runs
from router.cli.commands import build
from router.testing import FakeUpstream
from tests.gateway import Running, fake_settings, running
from tests.router.api.conftest import Loop

pytest.importorskip("pyarrow")

QUESTION = "Which river runs through Riga?"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    loop, upstream = Loop(), FakeUpstream()
    loop.run(upstream.__aenter__())
    tenants = [{"id": "demo"}, {"id": "open", "log_text": True}]
    folder = tmp_path_factory.mktemp("logging")
    settings = fake_settings(upstream.openai_base, folder / ".rung", tenants=tenants)
    (folder / "rung.yaml").write_text(yaml.safe_dump({"tenants": tenants}))
    try:
        with running(settings) as gateway:
            yield gateway
    finally:
        loop.run(upstream.__aexit__(None, None, None))
        loop.stop()


@pytest.fixture(autouse=True)
def folder(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = gateway.settings.store.data_dir.parent
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RUNG_STORE__DATA_DIR", str(gateway.settings.store.data_dir))
    return folder


def rung(*words: str) -> str:
    done = CliRunner().invoke(build(), list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(*words: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in rung("logs", "export", *words).splitlines() if line.startswith("{")]


def ask(gateway: Running, key: str, **extra: Any) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}], **extra}
    headers = {"authorization": f"Bearer {key}"}
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30).raise_for_status()
    gateway.booked()  # the commands read the store by themselves
    return reply


def test_a_question_becomes_a_row_with_its_vector_and_with_its_text_only_where_the_tenant_allows_it(
    gateway: Running,
) -> None:
    open_key = rung("keys", "create", "open").split()[-1]
    rung("logs", "ship")  # what others have asked before
    closed = ask(gateway, gateway.key, user="u7", rung={"cache": "off"})
    opened = ask(gateway, open_key)
    assert "2 decisions" in rung("logs", "ship")
    assert "0 decisions" in rung("logs", "ship")
    by_id = {row["decision_id"]: row for row in rows()}
    numbers, text = by_id[closed.headers["x-rung-decision-id"]], by_id[opened.headers["x-rung-decision-id"]]
    assert (numbers["text"], numbers["user"], text["text"], text["user"]) == (None, "u7", QUESTION, None)
    assert read_runs(text["word_runs"]) == frozenset()
    assert len(read_runs(numbers["word_runs"])) == 9  # five words, four pairs
    assert numbers["text_hash"] != text["text_hash"]  # a hash does not tell that two tenants asked the same
    inputs = load_default().inputs
    assert numbers["embedding"] + numbers["features"] == pytest.approx(inputs.compute(QUESTION).tolist(), rel=2e-3)
    assert numbers["feature_schema"] == inputs.schema
    assert numbers["served_model"] == closed.headers["x-rung-model"]
    assert len(numbers["options"]) > 1


def test_nothing_of_the_log_shows_in_the_api(gateway: Running) -> None:
    reply = ask(gateway, gateway.key, user="u8")
    shown = httpx.get(
        f"{gateway.url}/v1/decisions/{reply.headers['x-rung-decision-id']}", headers=gateway.headers, timeout=30
    )
    assert "log" not in shown.json()
    assert "u8" not in shown.text


def test_the_commands_show_and_export_and_erase(gateway: Running, folder: Path) -> None:
    reply = ask(gateway, gateway.key, user="u9")
    decision = reply.headers["x-rung-decision-id"]
    assert decision in rung("logs", "tail")
    assert orjson.loads(rung("logs", "tail", "-n", "1", "--json"))["id"] == decision
    rung("logs", "ship")
    rung("logs", "export", "--tenant", "demo", "--out", "all.parquet")
    assert (folder / "all.parquet").read_bytes()[:4] == b"PAR1"
    assert decision in {row["decision_id"] for row in rows("--tenant", "demo")}
    assert rows("--until", "2001-01-01") == []
    assert "1 rows" in rung("logs", "erase", "--tenant", "demo", "--user", "u9", "--yes")
    assert decision not in {row["decision_id"] for row in rows("--tenant", "demo")}
    gone = httpx.get(f"{gateway.url}/v1/decisions/{decision}", headers=gateway.headers, timeout=30)
    assert gone.status_code == 404
