"""`rung bench gates`: what is refused on the way from a log to a classifier that decides, tried out and told.

A log generated from real results; a candidate fitted to it, and a worse one, fitted to the same labels turned round; a
registry with the first; then everything that somebody could do to its files. Each refusal is shown in the words that
an operator would read. The worse candidate and whatever was meddled with must be refused, and what is sound must load:
each line says whether it was so. Whether the first candidate passes is the data's matter.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from classifier.artefact import load
from classifier.assignments import SHIPPED
from classifier.model import DifficultyModel
from classifier.registry import MAX_BYTES, Registry
from classifier.registry_writer import RegistryWriter
from classifier.signing import Signer, create_key
from classifier.types import Query
from training.benchmarks.generated_log import Traffic, generate
from training.data import Matrix
from training.learning.evaluate import evaluate
from training.learning.fit import Recipe, fit
from training.learning.gates import Gates, check_gates
from training.learning.ingest import Log, read_log

ASKED: Final = 200  # prompts that hold decisions before and after a rollback against each other


def measure(
    matrix: Matrix,
    *,
    records: int = 4_000,
    units: int = Recipe().units,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Try everything that must be refused, and what must not.

    Args:
        matrix: results. records: in the log that candidates are fitted to and proven on. units: see `Recipe`.
        seed: of the log.
    """
    matrix = matrix.take(matrix.complete)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        generate(matrix, load().inputs, folder / "log", Traffic(records=records, tenants=1, explore=0.5, seed=seed))
        log = read_log(str(folder / "log"))
        recipe = Recipe(units=units, seed=seed)
        progress("two candidates")
        rows = [
            _gated("a candidate fitted to the log", log, log, folder / "good", recipe),
            _gated("one fitted to labels turned round", log, _turned(log), folder / "worse", recipe),
        ]
        progress("registry")
        create_key(folder / "signing.pem")
        writer = RegistryWriter(folder / "registry", Signer.read(folder / "signing.pem"))
        writer.create()
        prompts = matrix.prompts[:ASKED].tolist()
        rows += [_rolled_back(writer, folder / "good", prompts), *_meddled(writer, folder)]
    return {"records": records, "results": rows}


def gates_text(result: Mapping[str, Any]) -> str:
    """What `rung bench gates` prints."""
    lines = [f"{'as it must' if row['held'] else 'WRONG':10}  {row['what']}\n{row['why']}" for row in result["results"]]
    return "\n".join(line.replace("\n", "\n            ") for line in lines)


def _gated(what: str, log: Log, taught: Log, folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Fit to `taught`, prove on `log`; what was taught other labels than the log's must not pass."""
    fitted = fit(taught, folder, name="global", version=1 if taught is log else 2, recipe=recipe)
    verdicts = check_gates(evaluate(log, fitted.held, fitted.model, artefact="default"), Gates())
    refused = [f"{v.gate}: {v.why}" for v in verdicts if not v.passed]
    said = "\n".join(["refused:", *refused]) if refused else "passes every gate"
    return {"what": what, "held": bool(refused) or taught is log, "why": said}


def _turned(log: Log) -> Log:
    return log.with_labels(replace(log.labels, value=1.0 - log.labels.value))


def _rolled_back(writer: RegistryWriter, good: Path, prompts: list[str]) -> dict[str, Any]:
    """Promote, roll back, and hold what is decided then against what was decided before, to the bit."""
    reader = writer.reader

    def told() -> list[Any]:
        model = reader.load(reader.state().serving(None).active or SHIPPED)
        return [_estimate(model, prompt) for prompt in prompts]

    before = told()
    version = writer.add(good, why="bench")
    writer.promote(version, why="bench")
    during = told()
    writer.roll_back(why="bench")
    same = told() == before and during != before
    why = f"{len(prompts)} estimates are those of before to the bit" if same else "estimates are not those of before"
    return {"what": "a promotion that is rolled back", "held": same, "why": why}


def _estimate(model: DifficultyModel, prompt: str) -> Any:  # noqa: ANN401 - compared as a whole
    found = model.estimate(Query(text=prompt))
    return found.difficulty, found.success, found.heads, found.tokens


def _meddled(writer: RegistryWriter, folder: Path) -> list[dict[str, Any]]:
    """Each kind of meddling with a registry, on a copy of its own."""
    home = writer.reader.folder
    version = next(iter(writer.reader.state().manifests))
    old = (home / "state.json").read_bytes()
    writer.promote(version, why="bench")

    def leave(at: Path) -> None:
        del at

    def flip(at: Path) -> None:
        part = at / "artefacts" / version / "heads.safetensors"
        content = bytearray(part.read_bytes())
        content[-1] ^= 1
        part.write_bytes(bytes(content))

    def unsign(at: Path) -> None:
        (at / "artefacts" / version / "manifest.sig").unlink()

    def swell(at: Path) -> None:
        with (at / "artefacts" / version / "heads.safetensors").open("ab") as part:
            part.truncate(MAX_BYTES + 1)

    def forge(at: Path) -> None:
        signed = json.loads((at / "state.json").read_text(encoding="utf-8"))
        signed["state"] = signed["state"].replace(version, "default")
        (at / "state.json").write_text(json.dumps(signed), encoding="utf-8")

    def put_back(at: Path) -> None:
        (at / "state.json").write_bytes(old)

    tried: dict[str, Callable[[Path], None]] = {
        "an artefact as it was signed": leave,
        "one with a flipped bit": flip,
        "one without its signature": unsign,
        "one that is larger than artefacts may be": swell,
        "a state that somebody wrote over": forge,
        "an older state put back": put_back,
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for number, (what, meddle) in enumerate(tried.items()):
        copy = folder / f"copy-{number}"
        shutil.copytree(home, copy)
        rows.append(_loaded(what, copy, writer, version, meddle, sound=number == 0))
    stranger = folder / "stranger.pem"
    create_key(stranger)
    keys = [Signer.read(stranger).public_key]
    rows.append(_refusal("one signed by a key that is not trusted", Registry(home, keys), version, sound=False))
    return rows


def _loaded(
    what: str, copy: Path, writer: RegistryWriter, version: str, meddle: Callable[[Path], None], *, sound: bool
) -> dict[str, Any]:
    """What a gateway that has seen the present state says of the meddled copy."""
    reader = Registry(copy, writer.reader.public_keys)
    reader.state()
    meddle(copy)
    return _refusal(what, reader, version, sound=sound)


def _refusal(what: str, reader: Registry, version: str, *, sound: bool) -> dict[str, Any]:
    try:
        reader.load(version)
        why, loaded = "loaded", True
    except ValueError as error:
        why, loaded = f"{type(error).__name__}: {error}".replace(str(reader.folder), "registry"), False
    return {"what": what, "held": loaded == sound, "why": why}
