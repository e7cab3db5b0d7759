"""The log's writer bars a classifier that fails, by what it was told, and every gateway honours it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from router.configuration.serving import RegistrySettings
from router.decision_log.place import Place
from router.decision_log.shipper import Shipper
from router.decision_log.vigilance import BY, Vigilance
from router.outcomes.outcome import Outcome
from router.store import Store, embedded
from tests.router.decision_log.records import PACKED, RULES, RULES_ID, record
from tests.router.registries import opinion, registry
from tests.router.store import conftest as store_fixtures

pytest.importorskip("pyarrow")
connection = store_fixtures.connection
store = store_fixtures.store


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedServer]:
    with embedded.start(tmp_path_factory.mktemp("vigil-store")) as running:
        yield running


async def lived(store: Store, observed: float, *, version: str) -> None:
    """Decisions by this version, whose answers are right with this probability."""
    await store.directory.declare_tenant("acme")
    await store.decisions.keep_rules(RULES_ID, RULES)
    draw = random.Random(0)  # noqa: S311 - a simulation
    for number in range(300):
        made = record(number)
        made["inputs"]["forecast"]["version"] = version
        await store.decisions.append("acme", made["id"], orjson.dumps(made), PACKED)
        outcome = Outcome(
            outcome_id=f"o{number}",
            decision_id=made["id"],
            tenant="acme",
            key="ab12",
            created=made["created"],
            source="feedback.thumbs",
            value=float(draw.random() < observed),
            reliability=0.8,
        )
        await store.outcomes.add("acme", outcome.outcome_id, outcome.says, outcome.dump())


@pytest.mark.parametrize(("observed", "barred"), [(0.1, ["own-1"]), (0.68, [])])
async def test_an_active_version_whose_promises_are_not_kept_is_barred(
    store: Store, tmp_path: Path, observed: float, barred: list[str]
) -> None:
    writer, _, public = registry(tmp_path)
    writer.add(opinion(tmp_path, 1, offset=1.0))
    writer.promote("own-1")
    await lived(store, observed, version="own-1")
    vigilance = Vigilance(store, RegistrySettings(folder=writer.folder, public_keys=[public]))
    await Shipper(store, Place(str(tmp_path / "log")), reliability={}, vigilance=vigilance).ship()
    bars = await store.classifiers.barred()
    assert list(bars) == barred
    assert all(bar.by == BY and "promised" in bar.why for bar in bars.values())
    (health,) = await store.classifiers.health()
    assert (health["version"], health["outcomes"]) == ("own-1", 300)
    assert health["observed"] == pytest.approx(observed, abs=0.08)
