"""`rung ledger`: the books of a tenant: proved, exported, corrected, and rebuilt from their record."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from policies.cost import usd
from policies.types import NANO_PER_USD
from router.cli.session import with_store
from router.configuration.settings import ConfigError, Settings
from router.store import Store
from router.store.books import Proof
from router.store.ledger_types import LARGEST_NANO
from router.store.record import Entry

app = typer.Typer(help="The books: prove them, export them, correct them, rebuild them.", no_args_is_help=True)

_Tenant = Annotated[str, typer.Argument(help="A tenant's id.")]


@app.command()
def verify(
    tenant: Annotated[str | None, typer.Argument(help="A tenant's id; all tenants where it is left out.")] = None,
) -> None:
    """Compare every counter with the durable record. Ends with status 1 where they differ."""

    async def work(store: Store, _settings: Settings) -> list[Proof]:
        if tenant is not None:
            await store.directory.tenant(tenant)
        ids = [tenant] if tenant is not None else [found.id for found in await store.directory.tenants()]
        return [await store.books.verify(one) for one in ids]

    proofs = with_store(work)
    for proof in proofs:
        _tell(proof)
    if not all(proof.exact for proof in proofs):
        sys.exit(1)


def _tell(proof: Proof) -> None:
    state = "exact" if proof.exact else f"{len(proof.differences)} counter(s) differ"
    print(
        f"{proof.tenant}: {state}; ${usd(proof.spent_nano)} spent in all, {proof.entries} entries in the record, "
        f"{proof.open_holds} open hold(s)"
    )
    for difference in proof.differences:
        scope = difference.scope or "tenant"
        print(
            f"  {difference.window} {scope} {difference.what}: counter {difference.counter_nano}, "
            f"record {difference.record_nano} nano-dollars; `rung ledger rebuild {proof.tenant}` mends it"
        )


@app.command()
def export(tenant: _Tenant) -> None:
    """Write the durable record as JSON, one entry a line, oldest first."""

    async def work(store: Store, _settings: Settings) -> None:
        await store.directory.tenant(tenant)
        async for entry in store.books.entries(tenant):
            print(entry.dump().decode())

    with_store(work)


@app.command()
def rebuild(tenant: _Tenant) -> None:
    """Compute the counters from the record again. Requests of the tenant are refused meanwhile."""

    async def work(store: Store, _settings: Settings) -> Proof:
        await store.directory.tenant(tenant)
        return await store.books.rebuild(tenant, store.epoch)

    _tell(with_store(work))


@app.command()
def restore(
    tenant: _Tenant,
    record: Annotated[Path, typer.Argument(help="The tenant's export: what `rung ledger export` wrote.", exists=True)],
) -> None:
    """Bring a tenant's books back into a store that was emptied or replaced, from an export.

    The store is given the name again that this gateway remembers for its books. What was spent after the export was
    made is not in it. API keys are not in it either: make new ones.
    """
    entries = _entries(record)

    async def work(store: Store, settings: Settings) -> Proof:
        memory = settings.store.data_dir / "store" / "epoch"
        name = memory.read_text("utf-8").strip() if memory.is_file() else store.epoch
        await store.enter(name)
        proof = await store.books.rebuild(tenant, name, entries)
        await store.directory.declare_tenant(tenant)
        return proof

    _tell(with_store(work))


def _entries(record: Path) -> list[Entry]:
    try:
        entries = [Entry.load(line) for line in record.read_bytes().splitlines() if line]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConfigError(f"{record}: is no record of a tenant; name what `rung ledger export` wrote") from None
    if not entries:  # or the books would be opened anew, as if nothing had ever been spent
        raise ConfigError(f"{record}: holds no entry; name what `rung ledger export` wrote")
    return entries


@app.command(context_settings={"ignore_unknown_options": True})  # or -0.25 would be one
def adjust(
    tenant: _Tenant,
    amount: Annotated[str, typer.Argument(help="Dollars to charge, or with a minus to refund, for example -0.25.")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the record.")],
    by: Annotated[str, typer.Option(help="Who; it stays in the record.")],
    reference: Annotated[str, typer.Option(help="A reference of your own; the same one is never booked twice.")],
) -> None:
    """Book a refund or a charge by hand."""
    nano = _signed_dollars(amount)

    async def work(store: Store, _settings: Settings) -> bool:
        await store.directory.tenant(tenant)
        return await store.books.adjust(tenant, reference, nano, reason=reason, by=by)

    booked = with_store(work)
    print(f"{tenant}: ${usd(nano)} {'booked' if booked else f'was booked before under {reference}; nothing changed'}")


def _signed_dollars(text: str) -> int:
    try:
        nano = Decimal(text.replace("$", "")) * NANO_PER_USD
    except InvalidOperation:
        nano = Decimal("NaN")
    if not nano.is_finite() or nano != nano.to_integral_value() or abs(nano) > LARGEST_NANO:
        most = LARGEST_NANO // NANO_PER_USD
        raise typer.BadParameter(f"{text!r} is not an amount of up to {most:,} dollars with at most nine decimals")
    return int(nano)
