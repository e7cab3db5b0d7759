"""`rung keys`: API keys of tenants. A key is shown once, when it is made."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from router.cli.numbers import finite
from router.cli.session import with_store
from router.configuration.ladder import build_ladder
from router.configuration.settings import Settings
from router.store import FEEDBACK, INFERENCE, Key, Store

app = typer.Typer(
    help="API keys of tenants. A key is shown once, when it is made; only a keyed hash of it is stored.",
    no_args_is_help=True,
)

DAY_S = 86_400.0
HOUR_S = 3_600.0
# A century: longer is "never", and beyond some ten thousand years no calendar can tell the day.
MOST_DAYS = 36_500


@app.command()
def create(
    tenant: Annotated[str, typer.Argument(help="Whose key: a tenant's id.")],
    *,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="A model that it may use (repeat); default: all.")] = None,
    deny: Annotated[list[str] | None, typer.Option(help="A model that it may not use (repeat).")] = None,
    days: Annotated[
        float | None,
        typer.Option(min=0, max=MOST_DAYS, callback=finite, help="Days until it expires; default: never."),
    ] = None,
    feedback: Annotated[
        bool, typer.Option("--feedback", help="It may tell what became of answers, and spend nothing.")
    ] = False,
) -> None:
    """Create a key and print it."""

    async def work(store: Store, settings: Settings) -> tuple[Key, str]:
        _tell_of_unknown({*(model or ()), *(deny or ())}, settings)
        return await store.directory.create_key(
            tenant,
            name=name,
            scopes=frozenset({FEEDBACK if feedback else INFERENCE}),
            models=frozenset(model) if model else None,
            deny=frozenset(deny or ()),
            expires_at=None if days is None else time.time() + days * DAY_S,
        )

    key, token = with_store(work)
    print(f"key {key.id} of tenant {tenant}; it is shown this once:")
    print(token)


@app.command("list")
def list_keys(tenant: Annotated[str, typer.Argument(help="A tenant's id.")]) -> None:
    """List a tenant's keys, without their secrets."""

    async def work(store: Store, _settings: Settings) -> list[Key]:
        await store.directory.tenant(tenant)
        return await store.directory.keys(tenant)

    keys = with_store(work)
    if not keys:
        print(f"no keys yet; `rung keys create {tenant}` makes one")
    for key in keys:
        state = "revoked" if key.revoked_at else "expired" if _expired(key) else "active"
        print(f"{key.id:<20} {state:<8} made {_day(key.created_at)}  {'; '.join(_rights(key))}  {key.name}".rstrip())


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _rights(key: Key) -> list[str]:
    """Which models it may use and until when, in words."""
    models = "all models" if key.models is None else f"only {', '.join(sorted(key.models))}"
    denied = [f"not {', '.join(sorted(key.deny))}"] if key.deny else []
    scopes = [f"only {', '.join(sorted(key.scopes))}"] if INFERENCE not in key.scopes else []
    return [*scopes, models, *denied, "no end" if key.expires_at is None else f"until {_day(key.expires_at)}"]


def _tell_of_unknown(named: set[str], settings: Settings) -> None:
    """A slip of the pen makes a key that opens nothing; a model may also be there tomorrow, so it is only said."""
    known = set(build_ladder(settings).models) if named else named
    for model in sorted(named - known):
        there = ", ".join(sorted(known))
        print(
            f"rung: careful: no model {model!r} is on the ladder of this folder ({there})", file=sys.stderr, flush=True
        )


def _expired(key: Key) -> bool:
    return key.expires_at is not None and key.expires_at <= time.time()


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id: the part between rk_ and the secret.")],
) -> None:
    """Revoke a key: it is refused within a second, and for ever."""

    async def work(store: Store, _settings: Settings) -> None:
        await store.directory.revoke_key(key)

    with_store(work)
    print(f"key {key} revoked")


@app.command()
def rotate(
    key: Annotated[str, typer.Argument(help="The key's id: the part between rk_ and the secret.")],
    hours: Annotated[
        float,
        typer.Option(
            min=0, max=24 * MOST_DAYS, callback=finite, help="How long the old one still works; default: not at all."
        ),
    ] = 0,
) -> None:
    """Make a key with the same rights in place of another, and print it."""

    async def work(store: Store, _settings: Settings) -> tuple[Key, str]:
        return await store.directory.rotate_key(key, grace_s=hours * HOUR_S)

    fresh, token = with_store(work)
    ending = f"works for {hours:g} more hours" if hours else "is revoked"
    print(f"key {key} {ending}; key {fresh.id} of tenant {fresh.tenant} takes its place, shown this once:")
    print(token)
