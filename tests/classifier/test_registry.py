"""Nothing unsigned, altered, older or too big is loaded; moves are whole, audited, and undone to the bit."""

from __future__ import annotations

import json
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from classifier import ArtefactError, Query, load_default
from classifier.artefact import DEFAULT, save
from classifier.assignments import SHIPPED, MoveError
from classifier.registry import MAX_BYTES, Altered, Outdated, Oversized, Registry, RegistryError, Unsigned
from classifier.registry_writer import RegistryWriter
from classifier.signing import SignatureError, Signer, create_key

TEXTS = ("Hi", "What is 2+2?", "Prove that every group of prime order is cyclic.")


def build(folder: Path, version: int, *, shift: float = 0.0, name: str = "own") -> Path:
    """The shipped network under another name, all its success logits moved by `shift`."""
    model = load_default()
    network = model.network
    bias = network.bias.copy()
    bias[:, 0] += shift
    fields = {n: getattr(network, n) for n in ("shift", "gain", "hidden", "hidden_bias", "out", "skip")}
    save(
        folder,
        name=name,
        version=version,
        inputs=model.inputs,
        encoder_files=DEFAULT,
        network=type(network)(**fields, bias=bias),
        layout=model.layout,
        golden=("Hi",),
        about={},
    )
    return folder


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefacts")
    build(folder / "one", 1)
    build(folder / "two", 2, shift=1.0)
    return folder


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    create_key(tmp_path / "signing.pem")
    return Signer.read(tmp_path / "signing.pem")


@pytest.fixture
def writer(tmp_path: Path, signer: Signer) -> RegistryWriter:
    writer = RegistryWriter(tmp_path / "registry", signer, by="a test", now=lambda: 1.0)
    writer.create()
    return writer


def reader(writer: RegistryWriter, *, least_sequence: int = 0) -> Registry:
    return Registry(writer.folder, writer.reader.public_keys, least_sequence=least_sequence)


def test_a_new_registry_lets_the_shipped_classifier_decide(writer: RegistryWriter) -> None:
    assert reader(writer).state().serving("anyone").active == SHIPPED
    assert reader(writer).load(SHIPPED).version == load_default().version


def test_a_version_goes_from_candidate_to_active_and_back_with_the_former_decisions_to_the_bit(
    writer: RegistryWriter, artefacts: Path
) -> None:
    first, second = writer.add(artefacts / "one"), writer.add(artefacts / "two")
    registry = reader(writer)
    assert registry.state().stage(first) == "candidate"
    writer.promote(first)
    before = [registry.load(first).estimate(Query(text=text)) for text in TEXTS]
    writer.shadow(second)
    writer.canary(second, 0.1)
    writer.promote(second)
    state = registry.state()
    assert (state.everyone.active, state.everyone.previous) == (second, first)
    assert state.everyone.canary is None
    assert [registry.load(second).estimate(Query(text=text)) for text in TEXTS] != before
    writer.roll_back()
    assert registry.state().everyone.active == first
    assert [registry.load(first).estimate(Query(text=text)) for text in TEXTS] == before


def test_a_tenant_falls_back_to_everyones_until_its_own_is_promoted(writer: RegistryWriter, artefacts: Path) -> None:
    first, second = writer.add(artefacts / "one"), writer.add(artefacts / "two")
    writer.promote(first)
    writer.canary(second, 0.2, tenant="acme")
    state = reader(writer).state()
    assert state.serving("acme").active == first
    assert state.serving("acme").canary is not None
    assert state.serving("other").canary is None
    writer.promote(second, tenant="acme")
    assert reader(writer).state().serving("acme").active == second
    writer.roll_back(tenant="acme")
    assert reader(writer).state().serving("acme").active == first


def test_what_is_in_use_cannot_be_retired_and_what_is_retired_cannot_be_loaded(
    writer: RegistryWriter, artefacts: Path
) -> None:
    version = writer.add(artefacts / "one")
    writer.promote(version)
    with pytest.raises(MoveError, match="in use"):
        writer.retire(version)
    writer.roll_back()
    writer.retire(version)
    with pytest.raises(Outdated, match="retired"):
        reader(writer).load(version)
    with pytest.raises((MoveError, RegistryError)):
        writer.promote(version)


def test_every_move_is_in_the_audit_trail_with_its_reason(writer: RegistryWriter, artefacts: Path) -> None:
    version = writer.add(artefacts / "one", why="nightly")
    writer.promote(version, why="the gain excludes zero")
    writer.roll_back(why="calibration")
    assert [(e["action"], e["sequence"], e.get("why")) for e in writer.audit()] == [
        ("create", 0, None),
        ("add", 1, "nightly"),
        ("promote", 2, "the gain excludes zero"),
        ("rollback", 3, "calibration"),
    ]
    assert all(entry["by"] == "a test" for entry in writer.audit())


def test_moves_at_the_same_time_are_all_made_one_after_the_other(writer: RegistryWriter, artefacts: Path) -> None:
    version = writer.add(artefacts / "one")
    with ThreadPoolExecutor(8) as pool:
        for move in [pool.submit(writer.shadow, version, tenant=f"t{i}") for i in range(24)]:
            move.result()
    state = reader(writer).state()
    assert state.sequence == 25
    assert set(state.tenants) == {f"t{i}" for i in range(24)}


# --- what is refused


def test_an_unsigned_artefact_is_refused(writer: RegistryWriter, artefacts: Path) -> None:
    version = writer.add(artefacts / "one")
    (writer.folder / "artefacts" / version / "manifest.sig").unlink()
    with pytest.raises(Unsigned):
        reader(writer).load(version)


def test_an_artefact_that_was_put_there_by_hand_is_refused(writer: RegistryWriter, artefacts: Path) -> None:
    shutil.copytree(artefacts / "one", writer.folder / "artefacts" / "own-1")
    with pytest.raises(Unsigned, match="names no version"):
        reader(writer).load("own-1")


@pytest.mark.parametrize("part", ["heads.safetensors", "encoder.safetensors", "vocabulary.txt", "golden.json"])
def test_a_flipped_byte_is_refused(writer: RegistryWriter, artefacts: Path, part: str) -> None:
    version = writer.add(artefacts / "one")
    file = writer.folder / "artefacts" / version / part
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(Altered, match=part):
        reader(writer).load(version)


def test_a_manifest_that_was_changed_to_fit_changed_weights_is_refused(writer: RegistryWriter, artefacts: Path) -> None:
    version = writer.add(artefacts / "one")
    folder = writer.folder / "artefacts" / version
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["layout"]["offset"] += 1
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Altered, match="manifest"):
        reader(writer).load(version)


def test_a_genuine_older_artefact_under_a_newer_name_is_refused(writer: RegistryWriter, artefacts: Path) -> None:
    old, new = writer.add(artefacts / "one"), writer.add(artefacts / "two")
    folder = writer.folder / "artefacts"
    shutil.rmtree(folder / new)
    shutil.copytree(folder / old, folder / new)
    with pytest.raises(Altered, match="not the one that was added"):
        reader(writer).load(new)


def test_a_genuine_older_state_is_refused_also_by_a_reader_that_was_restarted(
    writer: RegistryWriter, artefacts: Path
) -> None:
    version = writer.add(artefacts / "one")
    older = (writer.folder / "state.json").read_bytes()
    newest = writer.promote(version)
    registry = reader(writer)
    registry.state()
    (writer.folder / "state.json").write_bytes(older)
    with pytest.raises(Outdated, match="older"):
        registry.state()
    with pytest.raises(Outdated, match="older"):
        reader(writer, least_sequence=newest.sequence).state()


@pytest.mark.parametrize("change", [{"signature": ""}, {"state": "{}"}, {"signature": "0:AAAA"}])
def test_a_state_that_was_changed_is_refused(writer: RegistryWriter, change: dict[str, str]) -> None:
    path = writer.folder / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises((Unsigned, Altered)):
        reader(writer).state()


def test_a_registry_signed_with_a_strangers_key_is_refused(
    writer: RegistryWriter, artefacts: Path, tmp_path: Path
) -> None:
    create_key(tmp_path / "stranger.pem")
    stranger = Signer.read(tmp_path / "stranger.pem")
    forged = RegistryWriter(tmp_path / "forged", stranger)
    forged.create()
    forged.add(artefacts / "one")
    with pytest.raises(Unsigned, match="not among those trusted"):
        Registry(forged.folder, writer.reader.public_keys).state()
    assert Registry(forged.folder, [*writer.reader.public_keys, stranger.public_key]).state().sequence == 1


def test_an_oversized_artefact_is_neither_added_nor_loaded(
    writer: RegistryWriter, artefacts: Path, tmp_path: Path
) -> None:
    huge = Path(shutil.copytree(artefacts / "two", tmp_path / "huge"))
    with (huge / "vocabulary.txt").open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(Oversized):
        writer.add(huge)
    version = writer.add(artefacts / "one")
    with (writer.folder / "artefacts" / version / "golden.json").open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(Oversized):
        reader(writer).load(version)


def test_more_files_than_an_artefact_has_and_links_are_refused(
    writer: RegistryWriter, artefacts: Path, tmp_path: Path
) -> None:
    version = writer.add(artefacts / "one")
    folder = writer.folder / "artefacts" / version
    (folder / "model.pkl").write_bytes(b"")
    with pytest.raises(Altered, match=r"model\.pkl"):
        reader(writer).load(version)
    (folder / "model.pkl").unlink()
    (folder / "golden.json").rename(tmp_path / "golden.json")
    (folder / "golden.json").symlink_to(tmp_path / "golden.json")
    with pytest.raises(Altered, match="plain file"):
        reader(writer).load(version)


def test_an_artefact_of_another_feature_schema_is_refused(
    writer: RegistryWriter, artefacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = writer.add(artefacts / "one")
    monkeypatch.setattr("classifier.artefact.SCHEMA", "0" * 16)
    with pytest.raises(ArtefactError, match="other features"):
        reader(writer).load(version)


@pytest.mark.parametrize("version", ["../own-1", "", "a/b", ".hidden", "x" * 200])
def test_names_that_lead_elsewhere_are_refused(writer: RegistryWriter, version: str) -> None:
    with pytest.raises(RegistryError, match="no version"):
        reader(writer).artefact_folder(version)


def test_a_missing_registry_is_named(tmp_path: Path, signer: Signer) -> None:
    with pytest.raises(RegistryError, match="registry init"):
        Registry(tmp_path / "nowhere", [signer.public_key]).state()


# --- keys


def test_a_private_key_is_its_owners_alone_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    public = create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Signer.read(path).public_key == public
    with pytest.raises(FileExistsError):
        create_key(path)


@pytest.mark.parametrize("key", ["", "zz", "ab" * 31, "ab" * 33])
def test_what_is_no_public_key_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(SignatureError, match="64 hexadecimal"):
        Registry(tmp_path, [key])


def test_inputs_of_another_encoder_have_another_schema() -> None:
    from classifier.encoder import StaticEncoder
    from classifier.inputs import Inputs

    inputs = load_default().inputs
    assert inputs.schema == load_default().inputs.schema
    words = inputs.vocabulary
    other = StaticEncoder(np.zeros((len(words.tokens), 8), np.int8), np.ones(len(words.tokens), np.float32), words)
    assert Inputs(other, words).schema != inputs.schema
