"""`rung cache`: what answers out of the cache have saved, and forgetting a tenant's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from policies.cost import usd
from router.cli.session import with_store
from router.configuration.settings import Settings
from router.store import Store
from router.store.savings import Saved

app = typer.Typer(help="The cache of answers: what it saves, and forgetting a tenant's answers.", no_args_is_help=True)

_Tenant = Annotated[str, typer.Argument(help="A tenant's id, as `rung tenants list` shows it.")]


@app.command()
def saved(
    tenant: _Tenant,
    month: Annotated[str | None, typer.Option(help="For example 2026-11 (UTC); this month where left out.")] = None,
) -> None:
    """Show what the answers out of the cache had cost when they were bought."""
    when = month or datetime.now(UTC).strftime("%Y-%m")
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", when):
        raise typer.BadParameter(f"{month!r} is not a month; write it as 2026-11")

    async def work(store: Store, _settings: Settings) -> dict[str, Saved]:
        await store.directory.tenant(tenant)
        return await store.savings.of(tenant, when)

    for kind, what in with_store(work).items():
        words = "equal questions" if kind == "hit" else "the same in other words"
        print(f"{tenant} {when}: ${usd(what.nano)} saved by {what.requests} answers to {words} ({kind})")


@app.command()
def purge(tenant: _Tenant) -> None:
    """Forget all cached answers of a tenant, and what is known of their questions. Its books and its log stay."""

    async def work(store: Store, _settings: Settings) -> int:
        await store.directory.tenant(tenant)
        return await store.purge(tenant)

    print(f"{tenant}: {with_store(work)} answers forgotten")
