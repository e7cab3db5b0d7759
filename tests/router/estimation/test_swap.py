"""The registry is followed: what is promoted decides, and what is not to be trusted changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from classifier import load_default
from classifier.registry_writer import RegistryWriter
from classifier.types import Query
from router.configuration.serving import RegistrySettings
from router.estimation.classifiers import Arrangement, Lane, place
from router.estimation.estimator import Estimator
from router.estimation.swap import ClassifierWatch
from router.store import Store, embedded
from router.telemetry import Metrics
from tests.router.registries import opinion, registry
from tests.router.store import conftest as store_fixtures

connection = store_fixtures.connection
store = store_fixtures.store
QUERY = Query(text="Which river runs through Riga?")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedServer]:
    with embedded.start(tmp_path_factory.mktemp("swap-store")) as running:
        yield running


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefacts")
    opinion(folder, 1, offset=2.0)
    opinion(folder, 2, offset=-2.0)
    return folder


@pytest.fixture
async def estimator() -> AsyncIterator[Estimator]:
    made = Estimator(load_default(), timeout_s=10, recent=8)
    yield made
    made.close()


class Followed:
    """A registry and a process that follows it."""

    def __init__(self, folder: Path, store: Store, estimator: Estimator) -> None:
        self.writer, _, public = registry(folder)
        self.metrics = Metrics()
        self.store, self.estimator = store, estimator
        self.shipped = estimator.arrangement.everyone.active
        self.settings = RegistrySettings(folder=self.writer.folder, public_keys=[public])
        self.watch = self.another()

    def another(self) -> ClassifierWatch:
        return ClassifierWatch(
            self.settings, self.store.classifiers, self.estimator, self.metrics, shipped=self.shipped
        )

    async def version(self, tenant: str = "", who: str = "") -> str:
        estimate = await self.estimator.estimate(QUERY, tenant, who)
        assert estimate is not None
        return estimate.version

    def refusals(self) -> dict[str, float]:
        samples = [s for metric in self.metrics.classifier_refusals.collect() for s in metric.samples]
        return {sample.labels["reason"]: sample.value for sample in samples if sample.name.endswith("_total")}


@pytest.fixture
def followed(tmp_path: Path, store: Store, estimator: Estimator) -> Followed:
    return Followed(tmp_path, store, estimator)


def added(followed: Followed, artefacts: Path) -> RegistryWriter:
    for name in ("own-1", "own-2"):
        followed.writer.add(artefacts / name)
    return followed.writer


async def test_what_is_promoted_decides_and_a_rollback_brings_the_former_decisions_back_to_the_bit(
    followed: Followed, artefacts: Path
) -> None:
    before = await followed.estimator.estimate(QUERY)
    writer = added(followed, artefacts)
    writer.promote("own-1")
    assert await followed.watch.look()
    assert await followed.version() == "own-1"
    assert not await followed.watch.look()
    writer.roll_back()
    assert await followed.watch.look()
    assert await followed.estimator.estimate(QUERY) == before
    writer.promote("own-2")
    writer.promote("own-1")
    await followed.watch.look()
    writer.roll_back()
    await followed.watch.look()
    assert await followed.version() == "own-2"


async def test_a_tenant_has_its_own_and_the_others_have_everyones(followed: Followed, artefacts: Path) -> None:
    added(followed, artefacts).promote("own-1", tenant="acme")
    await followed.watch.look()
    assert await followed.version("acme") == "own-1"
    assert await followed.version("other") == load_default().version


async def test_a_canary_judges_its_share_of_conversations_and_always_the_same(
    followed: Followed, artefacts: Path
) -> None:
    added(followed, artefacts).canary("own-1", 0.3)
    await followed.watch.look()
    seen = [await followed.version(who=f"s{n}") for n in range(200)]
    assert 0.2 < seen.count("own-1") / 200 < 0.4
    assert seen == [await followed.version(who=f"s{n}") for n in range(200)]


async def test_a_barred_version_decides_nothing_in_any_process_until_it_is_lifted(
    followed: Followed, artefacts: Path
) -> None:
    writer = added(followed, artefacts)
    writer.promote("own-1")
    writer.promote("own-2")
    await followed.watch.look()
    await followed.store.classifiers.bar("own-2", by="a test", why="it is wrong")
    await followed.watch.look()
    assert await followed.version() == "own-1"
    await followed.store.classifiers.bar("own-1", by="a test", why="it is wrong too")
    await followed.watch.look()
    assert await followed.version() == load_default().version
    await followed.store.classifiers.unbar("own-2", by="a test", why="it was right")
    await followed.watch.look()
    assert await followed.version() == "own-2"
    assert [move["action"] for move in await followed.store.classifiers.audit()] == ["unbar", "bar", "bar"]


def _spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("heads.safetensors", "Altered"),
        ("manifest.json", "Altered"),
        ("manifest.sig", "Altered"),
        ("unsigned", "Unsigned"),
        ("oversized", "Oversized"),
        ("missing", "RegistryError"),
    ],
)
async def test_an_artefact_that_is_not_to_be_trusted_changes_nothing_and_is_counted(
    followed: Followed, artefacts: Path, harm: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer = added(followed, artefacts)
    writer.promote("own-1")
    await followed.watch.look()
    writer.promote("own-2")
    folder = writer.folder / "artefacts" / "own-2"
    if harm == "unsigned":
        (folder / "manifest.sig").unlink()
    elif harm == "missing":
        shutil.rmtree(folder)
    elif harm == "oversized":
        with (folder / "heads.safetensors").open("ab") as file:
            file.truncate(50_000_000)
    else:
        _spoil(folder / harm)
    for _ in range(3):
        await followed.watch.look()
    assert await followed.version() == "own-1"
    assert followed.refusals() == {reason: 3.0}
    assert len([line for line in caplog.messages if "the present classifiers stay" in line]) == 1
    assert followed.watch.refused


async def test_an_artefact_that_is_mended_is_taken(followed: Followed, artefacts: Path) -> None:
    writer = added(followed, artefacts)
    hidden = writer.folder / "artefacts" / "own-1"
    writer.promote("own-1")
    hidden.rename(hidden.with_name("elsewhere"))
    await followed.watch.look()
    assert await followed.version() == load_default().version
    hidden.with_name("elsewhere").rename(hidden)
    assert await followed.watch.look()
    assert await followed.version() == "own-1"
    assert followed.watch.refused == ""


@pytest.mark.parametrize("harm", ["altered", "older", "gone", "no JSON"])
async def test_a_state_that_is_not_to_be_trusted_changes_nothing(
    followed: Followed, artefacts: Path, harm: str
) -> None:
    writer = added(followed, artefacts)
    writer.promote("own-1")
    file = writer.folder / "state.json"
    older = file.read_bytes()
    writer.promote("own-2")
    await followed.watch.look()
    content: dict[str, Any] = json.loads(file.read_text())
    altered = {**content, "state": content["state"].replace('"active":"own-2"', '"active":"own-1"')}
    {
        "altered": lambda: file.write_text(json.dumps(altered)),
        "older": lambda: file.write_bytes(older),
        "gone": file.unlink,
        "no JSON": lambda: file.write_text("{"),
    }[harm]()
    assert not await followed.watch.look()
    assert await followed.version() == "own-2"
    assert followed.watch.refused


async def test_an_older_state_is_refused_by_a_process_that_never_saw_the_newer_one(
    followed: Followed, artefacts: Path
) -> None:
    writer = added(followed, artefacts)
    writer.promote("own-1")
    older = (writer.folder / "state.json").read_bytes()
    writer.roll_back()
    await followed.watch.look()
    (writer.folder / "state.json").write_bytes(older)
    fresh = followed.another()
    assert not await fresh.look()
    assert "sequence" in fresh.refused
    assert await followed.version() == load_default().version


def test_a_conversation_falls_into_its_place_evenly() -> None:
    places = [place("own-1", f"s{n}") for n in range(2_000)]
    assert 0.45 < sum(places) / len(places) < 0.55
    assert all(0 <= one < 1 for one in places)
    assert Arrangement(everyone=Lane(active=None)).lane("x").of("y") is None
