"""One call for the night: read the log, fit, prove, and promote what passes every gate.

    nightly("log", writer, work=Path("build/learning"))

A candidate is added to the registry whether or not it passes, with its report; only one that passes is promoted, and
only a tenant whose own model proves better than what decided for him gets it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classifier.assignments import SHIPPED
from classifier.model import DifficultyModel
from classifier.registry import Registry
from classifier.registry_writer import RegistryWriter
from training.engine import Engine
from training.learning.evaluate import Evaluation, evaluate
from training.learning.fit import Fitted, Recipe, fit, scope_name
from training.learning.gates import Gates, Verdict, check_gates
from training.learning.ingest import read_log
from training.learning.report import write_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a night brought.

    Attributes:
        version: of the candidate. promoted: whether it decides now. fitted, evaluation, verdicts: the proof.
        report: the page.
    """

    version: str
    promoted: bool
    fitted: Fitted
    evaluation: Evaluation
    verdicts: tuple[Verdict, ...]
    report: Path


def nightly(
    logs: str,
    writer: RegistryWriter,
    *,
    work: Path,
    tenant: str | None = None,
    recipe: Recipe | None = None,
    gates: Gates | None = None,
    engine: Engine | None = None,
    promote: bool = True,
    since: float = 0.0,
    until: float = 1e12,
    say: Callable[[str], None] = lambda _: None,
) -> Night:
    """Ingest, fit, evaluate, gate, promote.

    Args:
        logs: the decision log, a folder or URL.
        writer: of the registry.
        work: folder for reports and the artefact on its way.
        tenant: fit his own model; None fits everyone's.
        recipe: how to fit. gates: what must be shown. engine: where parts are worked on.
        promote: whether a candidate that passes is promoted at once.
        since, until: Unix seconds that the decisions lie between.
        say: told each phase.

    Raises:
        DataError: too little to learn from. RegistryError: the registry is not to be trusted.
    """
    recipe = recipe or Recipe()
    state = writer.reader.state()
    say("reading the log")
    log = read_log(logs, tenant=tenant, since=since, until=until)
    name = scope_name(tenant)
    number = next_version(list(state.manifests), name)
    folder = work / "artefacts" / f"{name}-{number}"
    parent = state.serving(tenant).active
    start = everyones(writer.reader, tenant)
    fitted = fit(
        log, folder, name=name, version=number, recipe=recipe, engine=engine, parent=parent, start=start, say=say
    )
    say("proving")
    found = evaluate(fitted.log, fitted.held, fitted.model, artefact=recipe.base)
    verdicts = check_gates(found, gates or Gates())
    version = writer.add(folder, why=f"fitted to {len(log):,} decisions")
    report = write_report(work / "reports", version, found, verdicts, fitted.about)
    passed = all(verdict.passed for verdict in verdicts)
    if passed and promote:
        writer.promote(version, tenant=tenant, why=found_in_words(found))
    shutil.rmtree(folder, ignore_errors=True)
    return Night(
        version=version,
        promoted=passed and promote,
        fitted=fitted,
        evaluation=found,
        verdicts=verdicts,
        report=report,
    )


def everyones(registry: Registry, tenant: str | None) -> DifficultyModel | None:
    """What a tenant's own heads start from: everyone's, where such were promoted."""
    active = registry.state().serving(None).active
    return None if tenant is None or active is None or active == SHIPPED else registry.load(active)


def found_in_words(found: Evaluation) -> str:
    """The gain, for the audit trail."""
    gain = found.gains["utility"]
    return f"utility {gain.value:+.4f} a query [{gain.low:+.4f}, {gain.high:+.4f}]"


def fitted_until(registry: Registry, version: str) -> float:
    """Unix seconds from which on a version has seen no outcome, as its manifest says; 0 where it learnt from no log."""
    about = {} if version == SHIPPED else registry.manifest(version)
    return float(about.get("learning", {}).get("fitted_until", 0.0))


def next_version(known: list[str], name: str) -> int:
    """One more than the greatest version of this name."""
    stem = f"{name}-"
    return 1 + max((int(v[len(stem) :]) for v in known if v.startswith(stem) and v[len(stem) :].isdigit()), default=0)
