"""`rung-train fit`, `evaluate`, `promote`, `watch` and `registry`: the commands that learn from the gateway's logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.commands import user_errors

if TYPE_CHECKING:
    from classifier.registry import Registry as Reader
    from classifier.registry_writer import RegistryWriter
    from training.learning.gates import Verdict

Registry = Annotated[Path, typer.Option(help="Folder of the registry of classifiers.")]
Key = Annotated[Path, typer.Option(help="The private key that signs; `rung-train registry init` makes one.")]
PublicKeys = Annotated[
    list[str] | None,
    typer.Option("--public-key", help="A key that is trusted (repeat); by default that of --key."),
]
Logs = Annotated[str, typer.Option(help="The decision log: a folder or an fsspec URL.")]
Tenant = Annotated[str | None, typer.Option(help="This tenant's own model; by default everyone's.")]
Version = Annotated[str, typer.Argument(help="A version in the registry, or `default` for the one that ships.")]
Why = Annotated[str, typer.Option(help="For the audit trail.")]
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

HOME = Path("registry")
KEY = Path("signing.pem")
WORK = Path("build/learning")

registry = typer.Typer(no_args_is_help=True, help="The registry of classifiers: who decides, and who may.")


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
    from training.engine import engine_named
    from training.learning.fit import Recipe
    from training.learning.gates import read_gates
    from training.learning.promote import nightly

    with user_errors():
        night = nightly(
            logs,
            _writer(registry, key),
            work=work,
            tenant=tenant,
            recipe=Recipe(base=base, holdout=holdout, seed=seed),
            gates=read_gates(gates),
            engine=engine_named(engine),
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
        reader = _reader(registry, public_key, key)
        since = fitted_until(reader, version) if since is None else since
        log = read_log(logs, tenant=tenant, since=since)
        base = reader.load(against) if against else None
        found = value(log, np.arange(len(log)), reader.load(version), artefact="default", base=base)
        verdicts = check_gates(found, read_gates(gates))
        about = {"decisions": len(log), "since": since}
        page = write_report(work / "reports", version, found, verdicts, about)
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
        writer = _writer(registry, key)
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
    tenant: Tenant = None,
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


@registry.command()
def init(registry: Registry = HOME, key: Key = KEY) -> None:
    """Make a registry, and the key that signs in it unless there is one. Prints the public key, which readers trust."""
    from classifier.signing import create_key

    with user_errors():
        public = _writer_of(key).public_key if key.exists() else create_key(key)
        _writer(registry, key).create()
    typer.echo(f"registry {registry}, private key {key} (keep it away from gateways)")
    typer.echo(f"public key {public}")


@registry.command(name="list")
def list_versions(registry: Registry = HOME, public_key: PublicKeys = None, key: Key = KEY) -> None:
    """Every version and what it does."""
    with user_errors():
        state = _reader(registry, public_key, key).state()
    for version in ("default", *sorted(state.manifests)):
        tenants = [name for name, one in state.tenants.items() if one.active == version]
        typer.echo(f"{version:28} {state.stage(version):10} {', '.join(tenants)}".rstrip())


@registry.command()
def show(version: Version, registry: Registry = HOME, public_key: PublicKeys = None, key: Key = KEY) -> None:
    """A version's signed manifest, as JSON."""
    with user_errors():
        manifest = _reader(registry, public_key, key).manifest(version)
    typer.echo(json.dumps(manifest, indent=1))


@registry.command()
def add(
    artefact: Annotated[Path, typer.Argument(help="Folder of an artefact.")],
    registry: Registry = HOME,
    key: Key = KEY,
    why: Why = "",
) -> None:
    """Copy an artefact in as a candidate, and sign it."""
    with user_errors():
        version = _writer(registry, key).add(artefact, why=why)
    typer.echo(version)


@registry.command(name="promote")
def promote_now(
    version: Version, registry: Registry = HOME, key: Key = KEY, tenant: Tenant = None, why: Why = ""
) -> None:
    """Let a version decide, whatever the gates would say."""
    with user_errors():
        state = _writer(registry, key).promote(version, tenant=tenant, why=why)
    typer.echo(f"{version} decides; sequence {state.sequence}")


@registry.command()
def shadow(
    version: Annotated[str | None, typer.Argument(help="None ends it.")] = None,
    registry: Registry = HOME,
    key: Key = KEY,
    tenant: Tenant = None,
    why: Why = "",
) -> None:
    """Let a version judge live queries beside the active one, without deciding."""
    with user_errors():
        state = _writer(registry, key).shadow(version, tenant=tenant, why=why)
    typer.echo(f"in shadow: {version or 'nobody'}; sequence {state.sequence}")


@registry.command()
def canary(
    version: Annotated[str | None, typer.Argument(help="None ends it.")] = None,
    *,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the queries that it decides.")] = 0.05,
    registry: Registry = HOME,
    key: Key = KEY,
    tenant: Tenant = None,
    why: Why = "",
) -> None:
    """Let a version decide a share of the queries."""
    with user_errors():
        state = _writer(registry, key).canary(version, share, tenant=tenant, why=why)
    typer.echo(f"canary: {version or 'nobody'}; sequence {state.sequence}")


@registry.command()
def rollback(registry: Registry = HOME, key: Key = KEY, tenant: Tenant = None, why: Why = "") -> None:
    """Let what decided before the last promotion decide again."""
    with user_errors():
        state = _writer(registry, key).roll_back(tenant=tenant, why=why)
    typer.echo(f"{state.serving(tenant).active} decides again; sequence {state.sequence}")


@registry.command()
def retire(version: Version, registry: Registry = HOME, key: Key = KEY, why: Why = "") -> None:
    """Let a version never be loaded again."""
    with user_errors():
        state = _writer(registry, key).retire(version, why=why)
    typer.echo(f"{version} is retired; sequence {state.sequence}")


@registry.command()
def verify(
    registry: Registry = HOME,
    public_key: PublicKeys = None,
    key: Key = KEY,
) -> None:
    """Load every version that is not retired with every check; the exit code is 2 where one is refused."""
    with user_errors():
        reader = _reader(registry, public_key, key)
        state = reader.state()
    refused = False
    for version in sorted(set(state.manifests) - state.retired):
        try:
            reader.load(version)
            typer.echo(f"{version}: sound")
        except ValueError as error:
            refused = True
            typer.echo(f"{version}: REFUSED: {error}")
    if refused:
        raise typer.Exit(2)


def _writer_of(key: Path) -> Any:  # noqa: ANN401 - imported where it is used
    from classifier.signing import Signer

    return Signer.read(key)


def _reader(folder: Path, public_keys: list[str] | None, key: Path) -> Reader:
    """The registry for whoever only reads it: a private key is wanted only where no public one is named."""
    from classifier.registry import Registry as Reader

    if not public_keys and not key.exists():
        raise FileNotFoundError(
            f"whose signature is to be trusted? Name it with --public-key (`rung-train registry init` printed it; a "
            f"gateway has it in registry.public_keys). There is no private key {key} here, and reading needs none"
        )
    return Reader(folder, public_keys or [_writer_of(key).public_key])


def _writer(folder: Path, key: Path) -> RegistryWriter:
    from classifier.registry_writer import RegistryWriter

    return RegistryWriter(folder, _writer_of(key))


def _show(told: dict[str, Any], verdicts: tuple[Verdict, ...], *, as_json: bool) -> None:
    """Tell what came of a candidate; exit with REFUSED where a gate did not let it pass."""
    passed = all(verdict.passed for verdict in verdicts)
    if as_json:
        gates = [{"gate": v.gate, "passed": v.passed, "why": v.why} for v in verdicts]
        typer.echo(json.dumps({**told, "passed": passed, "gates": gates}))
    else:
        for name, value in told.items():
            typer.echo(f"{name.replace('_', ' '):24} {value}")
        for verdict in verdicts:
            typer.echo(f"  {'passed ' if verdict.passed else 'REFUSED'} {verdict.gate}: {verdict.why}")
    if not passed:
        raise typer.Exit(REFUSED)
