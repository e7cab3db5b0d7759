"""The configuration in force: swapped whole, refused whole, and never under a request's feet."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.configuration import settings as configuration
from router.configuration.live import Live, configure
from router.configuration.settings import ConfigError, Settings
from tests.gateway import fake_ladder
from tests.patience import PATIENCE_S


def write(path: Path, **content: Any) -> None:
    """Replace the file at once, as editors and configuration managers do."""
    fresh = path.with_suffix(".new")
    fresh.write_text(yaml.safe_dump({"models": fake_ladder("http://127.0.0.1:1/v1"), **content}))
    fresh.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "rung.yaml"
    write(made)
    return made


@pytest.fixture
def live(path: Path) -> Live:
    return Live(configure(configuration.load(path), os.environ, None), local=None)


def test_a_changed_price_is_in_force_after_a_reload(live: Live, path: Path) -> None:
    before = live.current
    ladder = fake_ladder("http://127.0.0.1:1/v1")
    ladder[0]["prices"]["output"] = 9
    write(path, models=ladder)
    assert live.reload(path)
    assert live.current.ladder.models["small"].prices.output == 9_000_000_000
    assert before.ladder.models["small"].prices.output == 400_000_000
    assert live.current.ladder.catalog.version != before.ladder.catalog.version


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"quality": 7}, "quality"),
        ({"colour": "red"}, "colour"),
        ({"policies": {"tolerance": "much"}}, "policies.tolerance"),
        ({"policies": {"tollerance": 0.1}}, "tollerance"),
        ({"models": [{"id": "x", "upstream": "openai/no-such-model-anywhere", "tier": "economy"}]}, "price"),
        ({"server": {"port": 9}}, "server"),
    ],
    ids=["out of range", "unknown", "policy of the wrong kind", "misspelt policy", "no price", "needs a restart"],
)
def test_a_wrong_file_is_refused_whole_and_says_why(
    live: Live, path: Path, content: dict[str, Any], named: str
) -> None:
    before = live.current
    write(path, **content)
    assert not live.reload(path)
    assert live.current is before
    assert named in live.refused


def test_the_next_good_file_clears_the_refusal(live: Live, path: Path) -> None:
    write(path, quality=7)
    live.reload(path)
    write(path, quality=0.7)
    assert live.reload(path)
    assert live.refused == ""
    assert live.current.settings.quality == 0.7


async def test_a_watched_file_is_taken_when_it_changes(live: Live, path: Path) -> None:
    told: asyncio.Queue[Settings | None] = asyncio.Queue()
    watcher = asyncio.create_task(live.watch(path, told.put))
    await asyncio.sleep(0)  # the watcher has seen the file as it is
    write(path, quality=0.9)
    fresh = await asyncio.wait_for(told.get(), PATIENCE_S)
    assert fresh is not None
    assert fresh.quality == 0.9
    write(path, quality=9)
    assert await asyncio.wait_for(told.get(), PATIENCE_S) is None
    watcher.cancel()


def test_a_policy_in_the_file_reaches_the_decision(path: Path) -> None:
    write(path, policies={"max_attempts": 1})
    assert configure(configuration.load(path), os.environ, None).policy.max_attempts == 1


def test_a_wrong_policy_keeps_the_gateway_from_starting(path: Path) -> None:
    write(path, policies={"max_attempts": 0})
    with pytest.raises(ConfigError, match=r"policies\.max_attempts"):
        configure(configuration.load(path), os.environ, None)
