"""`rung-train fit`, `evaluate`, `promote` and `watch`: the commands that learn from the gateway's logs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.commands import user_errors
from training.learning.registry_cli import (
    HOME,
    KEY,
    Key,
    PublicKeys,
    Registry,
    Tenant,
    Version,
    Why,
    reader_of,
    registry,
    writer_of,
)

if TYPE_CHECKING:
    from training.learning.gates import Verdict

Logs = Annotated[str, typer.Option(help="The decision log: a folder or an fsspec URL.")]
Since = Annotated[
    float | None,
    typer.Option(help="Unix seconds; by default the end of what the version was fitted to, which its manifest tells."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Work = Annotated[Path, typer.Option(help="Folder for reports and work under way.")]
GatesFile = Annotated[Path | None, typer.Option("--gates", help="gates.yaml; see docs/learning.md.")]
EngineName = Annotated[str, typer.Option("--engine", help="local or ray.")]
Seed = Annotated[int, typer.Option(help="Of everything random: equal logs and seeds, equal models.")]
Base = Annotated[str, typer.Option(help="Artefact that the heads stand on: a folder, or `default`.")]
REFUSED = 3  # exit code of a candidate that a gate refuses, and of a drift: something to act on, not an error

WORK = Path("build/learning")


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module into `rung-train`."""
    app.command()(fit)
    app.command()(evaluate)
    app.command()(promote)
    app.command()(watch)
    app.add_typer(registry, name="registry")


def fit(
    *,
    logs: Logs,
    registry: Registry = HOME,
    key: Key = KEY,
    tenant: Tenant = None,
    work: Work = WORK,
    gates: GatesFile = None,
    engine: EngineName = "local",
    seed: Seed = 0,
    base: Base = "default",
    holdout: Annotated[float, typer.Option(min=0.05, max=0.5, help="Share of the labelled time kept for proof.")] = 0.2,
    promote: Annotated[bool, typer.Option("--promote", help="Promote a candidate that passes every gate.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a candidate to the logs, prove it on the newest part, and add it to the registry with its report.

    The exit code is 3 where a gate refuses it.
    """
    from training.engine import engine_named, with_bar
    from training.learning.fit import Recipe
    from training.learning.gates import read_gates
    from training.learning.promote import nightly

    with user_errors():
        night = nightly(
            logs,
            writer_of(registry, key),
            work=work,
            tenant=tenant,
            recipe=Recipe(base=base, holdout=holdout, seed=seed),
            gates=read_gates(gates),
            engine=with_bar(engine_named(engine), "adding up the log"),
            promote=promote,
            say=lambda phase: typer.echo(phase, err=True),
        )
    told = {
        "version": night.version,
        "promoted": night.promoted,
        "report": str(night.report),
        **night.fitted.about["learning"],
    }
    _show(told, night.verdicts, as_json=as_json)


def evaluate(
    version: Version,
    *,
    logs: Logs,
    registry: Registry = HOME,
    public_key: PublicKeys = None,
    key: Key = KEY,
    tenant: Tenant = None,
    against: Annotated[str | None, typer.Option(help="A version; by default what was told at the time.")] = None,
    work: Work = WORK,
    gates: GatesFile = None,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """Value a version on logged decisions: estimates with intervals, slices, gates; a page and a JSON file."""
    import numpy as np

    from training.learning.evaluate import evaluate as value
    from training.learning.gates import check_gates, read_gates
    from training.learning.ingest import read_log
    from training.learning.promote import fitted_until
    from training.learning.report import as_json as whole
    from training.learning.report import write_report

    with user_errors():
        reader = reader_of(registry, public_key, key)
        since = fitted_until(reader, version) if since is None else since
        log = read_log(logs, tenant=tenant, since=since)
        base = reader.load(against) if against else None
        found = value(log, np.arange(len(log)), reader.load(version), artefact="default", base=base)
        verdicts = check_gates(found, read_gates(gates))
        about = {"decisions": len(log), "since": since}
        page = write_report(work / "evaluations", version, found, verdicts, about)
    if as_json:
        typer.echo(json.dumps(whole(version, found, verdicts, about | {"report": str(page)})))
        return
    _show({"version": version, "report": str(page)}, verdicts, as_json=False)


def promote(
    version: Version,
    *,
    logs: Logs,
    registry: Registry = HOME,
    key: Key = KEY,
    tenant: Tenant = None,
    gates: GatesFile = None,
    since: Since = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Run the gates on the log's newest decisions, and promote the version if it passes them all.

    `rung-train registry promote` promotes without gates. The exit code is 3 where a gate refuses.
    """
    import numpy as np

    from training.learning.evaluate import evaluate as value
    from training.learning.gates import check_gates, read_gates
    from training.learning.ingest import read_log
    from training.learning.promote import fitted_until, found_in_words

    with user_errors():
        writer = writer_of(registry, key)
        since = fitted_until(writer.reader, version) if since is None else since
        log = read_log(logs, tenant=tenant, since=since)
        found = value(log, np.arange(len(log)), writer.reader.load(version), artefact="default")
        verdicts = check_gates(found, read_gates(gates))
        passed = all(verdict.passed for verdict in verdicts)
        if passed:
            writer.promote(version, tenant=tenant, why=why or found_in_words(found))
    _show({"version": version, "promoted": passed}, verdicts, as_json=as_json)


def watch(
    *,
    logs: Logs,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's part of the log.")] = None,
    recent: Annotated[float, typer.Option(min=0.01, help="Days of the window that is tested.")] = 1.0,
    before: Annotated[float, typer.Option(min=0.01, help="Days before it that it is held against.")] = 7.0,
    level: Annotated[float, typer.Option(min=0.0, max=0.5, help="Chance of an alarm without drift.")] = 0.01,
    as_json: AsJson = False,
) -> None:
    """Test the newest window of the log for drift of inputs, scores, calibration and outcomes.

    The exit code is 3 where something drifted: `rung-train watch --logs DIR || rung-train fit --logs DIR --promote`.
    """
    from training.learning.watch import look

    with user_errors():
        found = look(logs, tenant=tenant, recent_days=recent, before_days=before, level=level)
    if as_json:
        typer.echo(json.dumps(found.as_json()))
    else:
        for test in found.tests:
            typer.echo(f"{test.name:12} {'DRIFT ' if test.drifted else 'steady'}  {test.why}")
    if found.drifted:
        raise typer.Exit(REFUSED)


def _show(told: dict[str, Any], verdicts: tuple[Verdict, ...], *, as_json: bool) -> None:
    """Tell what came of a candidate; exit with REFUSED where a gate did not let it pass."""
    passed = all(verdict.passed for verdict in verdicts)
    if as_json:
        gates = [{"gate": v.gate, "passed": v.passed, "why": v.why} for v in verdicts]
        typer.echo(json.dumps({**told, "passed": passed, "gates": gates}))
    else:
        for name, value in told.items():
            typer.echo(f"{name.replace('_', ' '):24} {_in_words(name, value)}")
        for verdict in verdicts:
            typer.echo(f"  {'passed ' if verdict.passed else 'REFUSED'} {verdict.gate}: {verdict.why}")
        if "promoted" in told:
            typer.echo(_conclusion(told["version"], passed=passed, promoted=told["promoted"]))
    if not passed:
        raise typer.Exit(REFUSED)


def _in_words(name: str, value: Any) -> str:  # noqa: ANN401 - any value of a manifest
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "fitted_until":
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {one or 'none'}" for key, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _conclusion(version: str, *, passed: bool, promoted: bool) -> str:
    """What the candidate is now, and what can be done about it."""
    if promoted:
        return f"{version} decides now; `rung-train registry rollback` lets what decided before decide again"
    if passed:
        return f"{version} passes every gate and waits as a candidate: --promote, or `rung-train registry promote`"
    return f"{version} is refused and decides nothing; what decided before goes on. More feedback may prove it"
