"""`rung-train registry`: the commands that say which classifier decides, and how all commands name a registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands import user_errors

if TYPE_CHECKING:
    from classifier.registry import Registry as Reader
    from classifier.registry_writer import RegistryWriter
    from classifier.signing import Signer

Registry = Annotated[Path, typer.Option(help="Folder of the registry of classifiers.")]
Key = Annotated[Path, typer.Option(help="The private key that signs; `rung-train registry init` makes one.")]
PublicKeys = Annotated[
    list[str] | None,
    typer.Option("--public-key", help="A key that is trusted (repeat); by default that of --key."),
]
Tenant = Annotated[str | None, typer.Option(help="This tenant's own model; by default everyone's.")]
Version = Annotated[str, typer.Argument(help="A version in the registry, or `default` for the one that ships.")]
Why = Annotated[str, typer.Option(help="For the audit trail.")]

HOME = Path("registry")
KEY = Path("signing.pem")

registry = typer.Typer(no_args_is_help=True, help="The registry of classifiers: who decides, and who may.")


@registry.command()
def init(registry: Registry = HOME, key: Key = KEY) -> None:
    """Make a registry, and the key that signs in it unless there is one. Prints the public key, which readers trust."""
    from classifier.signing import create_key

    with user_errors():
        public = signer_of(key).public_key if key.exists() else create_key(key)
        writer_of(registry, key).create()
    typer.echo(f"registry {registry}, private key {key} (keep it away from gateways)")
    typer.echo("gateways follow this registry where their environment has these two lines:")
    typer.echo(f"RUNG_REGISTRY__FOLDER={registry.resolve()}\nRUNG_REGISTRY__PUBLIC_KEYS='[\"{public}\"]'")
    typer.echo(f"public key {public}")


@registry.command(name="list")
def list_versions(registry: Registry = HOME, public_key: PublicKeys = None, key: Key = KEY) -> None:
    """Every version and what it does."""
    with user_errors():
        state = reader_of(registry, public_key, key).state()
    for version in ("default", *sorted(state.manifests)):
        tenants = [name for name, one in state.tenants.items() if one.active == version]
        typer.echo(f"{version:28} {state.stage(version):10} {', '.join(tenants)}".rstrip())


@registry.command()
def show(version: Version, registry: Registry = HOME, public_key: PublicKeys = None, key: Key = KEY) -> None:
    """A version's signed manifest, as JSON."""
    with user_errors():
        manifest = reader_of(registry, public_key, key).manifest(version)
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
        version = writer_of(registry, key).add(artefact, why=why)
    typer.echo(version)


@registry.command(name="promote")
def promote_now(
    version: Version, registry: Registry = HOME, key: Key = KEY, tenant: Tenant = None, why: Why = ""
) -> None:
    """Let a version decide, whatever the gates would say."""
    with user_errors():
        state = writer_of(registry, key).promote(version, tenant=tenant, why=why)
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
        state = writer_of(registry, key).shadow(version, tenant=tenant, why=why)
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
        state = writer_of(registry, key).canary(version, share, tenant=tenant, why=why)
    typer.echo(f"canary: {version or 'nobody'}; sequence {state.sequence}")


@registry.command()
def rollback(registry: Registry = HOME, key: Key = KEY, tenant: Tenant = None, why: Why = "") -> None:
    """Let what decided before the last promotion decide again."""
    with user_errors():
        state = writer_of(registry, key).roll_back(tenant=tenant, why=why)
    typer.echo(f"{state.serving(tenant).active} decides again; sequence {state.sequence}")


@registry.command()
def retire(version: Version, registry: Registry = HOME, key: Key = KEY, why: Why = "") -> None:
    """Let a version never be loaded again."""
    with user_errors():
        state = writer_of(registry, key).retire(version, why=why)
    typer.echo(f"{version} is retired; sequence {state.sequence}")


@registry.command()
def verify(
    registry: Registry = HOME,
    public_key: PublicKeys = None,
    key: Key = KEY,
) -> None:
    """Load every version that is not retired with every check; the exit code is 2 where one is refused."""
    with user_errors():
        reader = reader_of(registry, public_key, key)
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


def signer_of(key: Path) -> Signer:
    """Who signs with a private key."""
    from classifier.signing import Signer

    return Signer.read(key)


def reader_of(folder: Path, public_keys: list[str] | None, key: Path) -> Reader:
    """The registry for whoever only reads it: a private key is wanted only where no public one is named."""
    from classifier.registry import Registry as Reader

    if not public_keys and not key.exists():
        raise FileNotFoundError(
            f"whose signature is to be trusted? Name it with --public-key (`rung-train registry init` printed it; a "
            f"gateway has it in registry.public_keys). There is no private key {key} here, and reading needs none"
        )
    return Reader(folder, public_keys or [signer_of(key).public_key])


def writer_of(folder: Path, key: Path) -> RegistryWriter:
    """The registry for whoever changes it."""
    from classifier.registry_writer import RegistryWriter

    return RegistryWriter(folder, signer_of(key))
