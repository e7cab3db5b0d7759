"""`rung tenants`: who pays, and how much they may spend."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from policies.cost import usd
from policies.types import NANO_PER_USD
from router.cli.session import with_store
from router.configuration.section import TENANT_ID
from router.configuration.settings import ConfigError, Settings
from router.store import Budget, Standing, Store, Tenant, Terms, Window
from router.store.ledger_types import LARGEST_NANO
from router.tenants.accounts import Account, account_of
from router.tenants.alert_words import sentence

app = typer.Typer(
    help="Tenants: who pays, and how much they may spend. Changes reach running gateways within a second.",
    no_args_is_help=True,
)

_ALERTS = 10  # the newest; /v1/admin/tenants/<id> has all

_Id = Annotated[
    str, typer.Argument(help="The tenant's id: lower-case letters, digits, - and _; search@acme belongs to acme.")
]


@app.command()
def create(
    tenant: _Id,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    budget: Annotated[str | None, typer.Option(help="A limit in dollars, for example 100 or 0.50.")] = None,
    window: Annotated[str, typer.Option(help="day, month or total.")] = "month",
) -> None:
    """Create a tenant, with a budget if one is given."""
    nano = None if budget is None else dollars(budget)
    period = _window(window)
    if not re.fullmatch(TENANT_ID, tenant):
        raise typer.BadParameter(
            f"{tenant!r}: a tenant's id has lower-case letters, digits, - and _, 63 at most; then @organisation"
        )

    async def work(store: Store, _settings: Settings) -> None:
        await store.directory.create_tenant(tenant, name=name)
        if nano is not None:
            await store.ledger.set_budget(tenant, period.word, nano, period)

    with_store(work)
    print(f"tenant {tenant} created" + (f" with ${usd(nano)} per {period.word}" if nano is not None else ""))
    print(f"next: rung keys create {tenant}")


@app.command("list")
def list_tenants() -> None:
    """List the tenants with what they have spent this month."""

    async def work(store: Store, _settings: Settings) -> list[tuple[Tenant, Standing]]:
        return [(t, await store.ledger.standing(t.id)) for t in await store.directory.tenants()]

    rows = with_store(work)
    if not rows:
        print("no tenants yet; `rung tenants create <id>` makes one")
    for tenant, standing in rows:
        state = "disabled" if tenant.disabled else "active"
        print(f"{tenant.id:<24} {state:<9} ${usd(standing.month.spent_nano)} this month  {tenant.name}".rstrip())


@app.command()
def show(tenant: _Id) -> None:
    """Show a tenant: budgets, spend, what is held, its keys."""

    async def work(store: Store, _settings: Settings) -> Account:
        return await account_of(store, tenant)

    account = with_store(work)
    found, standing, keys = account.tenant, account.standing, len(account.keys)
    print(f"{found.id}{f' ({found.name})' if found.name else ''}: {'disabled' if found.disabled else 'active'}")
    print(f"  models: {', '.join(sorted(found.models)) if found.models is not None else 'all'}; keys: {keys}")
    for name, rule in _rules(found).items():
        print(f"  {name}: {rule}")
    for word, meter in (("today", standing.day), ("this month", standing.month), ("in all", standing.total)):
        print(f"  spent {word}: ${usd(meter.spent_nano)}, held: ${usd(meter.held_nano)}")
    for budget in standing.budgets:
        told = f"{_told(budget)}{_terms(account.terms_of(budget))}; {account.forecast(budget)}"
        print(f"  budget {budget.name} ({budget.window.word}): {told}")
    for alert in account.alerts[:_ALERTS]:
        waits = "; its webhook waits" if alert.waiting else ""
        print(f"  alert {datetime.fromtimestamp(alert.at, UTC):%Y-%m-%d %H:%M} UTC: {sentence(alert)}{waits}")
    for member, its in account.members.items():
        print(f"  of it {member}: ${usd(its.month.spent_nano)} this month")
    if not standing.budgets:
        print(f"  no budget: spend is unlimited; `rung tenants set-budget {found.id} 100` limits it")


def _told(budget: Budget) -> str:
    rolled = f" (of it ${usd(budget.rolled_nano)} rolled over)" if budget.rolled_nano else ""
    passed = " (passed)" if budget.is_past_soft else ""
    soft = "" if budget.soft is None else f"; soft from {budget.soft:.0%}{passed}"
    return f"${usd(budget.limit_nano)}{rolled}, ${usd(budget.remaining_nano)} left{soft}"


def _terms(terms: Terms) -> str:
    at_most = "" if terms.rollover_cap_nano is None else f", ${usd(terms.rollover_cap_nano)} at most"
    over = f"; {terms.rollover:.0%} of the rest rolls over{at_most}" if terms.rollover else ""
    told = f"; alerts at {', '.join(f'{share:.0%}' for share in terms.alerts)}" if terms.alerts else "; no alerts"
    return over + told


def _rules(tenant: Tenant) -> dict[str, object]:
    """What it is held to beside its budgets, by the names of the settings."""
    limits = tenant.limits
    per_minute = {"requests_per_minute": limits.requests_per_minute, "tokens_per_minute": limits.tokens_per_minute}
    return {name: value for name, value in {**per_minute, **tenant.policy}.items() if value is not None}


@app.command("set-budget", context_settings={"ignore_unknown_options": True})  # -5 is a wrong amount, no option
def set_budget(
    tenant: _Id,
    limit: Annotated[str, typer.Argument(help="The limit in dollars, for example 100 or 0.50.")],
    *,
    window: Annotated[str, typer.Option(help="day, month or total.")] = "month",
    key: Annotated[str | None, typer.Option(help="Limit one key's spend instead of the whole tenant's.")] = None,
    soft: Annotated[
        float | None, typer.Option(help="The share of the limit from which on answers get cheaper, for example 0.8.")
    ] = None,
    rollover: Annotated[
        float | None,
        typer.Option(help="The share of what a window leaves that goes on into the next, for example 0.5."),
    ] = None,
    rollover_cap: Annotated[str | None, typer.Option(help="The most that rolls over, in dollars.")] = None,
    alert: Annotated[
        list[float] | None, typer.Option(help="A share of the limit at which you are told; may be given several times.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Forget what the budget said beside its limit.")] = False,
) -> None:
    """Set or change a budget. What was spent in the window already counts; what is left out stays as it was."""
    nano, period = dollars(limit), _window(window)
    cap = None if rollover_cap is None else dollars(rollover_cap)
    shares = tuple(sorted(set(alert))) if alert else None
    options = {"soft": soft, "rollover": rollover, "rollover_cap_nano": cap, "alerts": shares}
    given = {name: value for name, value in options.items() if value is not None}
    if rollover and period is Window.TOTAL:
        raise typer.BadParameter("a budget of window total has no next window to roll over into")

    async def work(store: Store, settings: Settings) -> None:
        await store.directory.tenant(tenant)
        if key is None:
            _refuse_declared(settings, tenant, period)
        else:
            await _require_key(store, key, tenant)
        scope = "" if key is None else f"key:{key}"
        name = f"{scope} {period.word}".strip()
        before = next((grant.terms for grant in await store.ledger.budgets(tenant) if grant.name == name), Terms())
        terms = _changed(Terms() if plain else before, given)
        await store.ledger.set_budget(tenant, name, nano, period, scope=scope, terms=terms)

    with_store(work)
    print(f"{tenant}: ${usd(nano)} per {period.word}" + (f" for key {key}" if key else ""))


def _refuse_declared(settings: Settings, tenant: str, window: Window) -> None:
    """What the file says would be put back by the next start, and by the next command."""
    declared = next((found for found in settings.tenants if found.id == tenant), None)
    if declared is not None and any(budget.window == window.word for budget in declared.budgets):
        raise ConfigError(f"rung.yaml declares the {window.word} budget of {tenant}, and wins: change it there")


@app.command()
def disable(
    tenant: _Id, enable: Annotated[bool, typer.Option("--enable", help="Enable it again instead.")] = False
) -> None:
    """Disable a tenant: its keys are refused from now on. `--enable` lets it in again."""

    async def work(store: Store, _settings: Settings) -> None:
        await store.directory.set_disabled(tenant, disabled=not enable)

    with_store(work)
    print(f"tenant {tenant} {'enabled' if enable else 'disabled'}")


def _changed(before: Terms, given: dict[str, Any]) -> Terms:
    try:
        return replace(before, **given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


async def _require_key(store: Store, key: str, tenant: str) -> None:
    """Another tenant's key spends of another book: a budget for it here would hold nothing."""
    owner = (await store.directory.key(key)).tenant
    if owner != tenant:
        raise typer.BadParameter(f"the key {key} is {owner}'s: `rung tenants set-budget {owner} ... --key {key}`")


def dollars(text: str) -> int:
    """Dollars as people write them, in nano-dollars. Raises typer.BadParameter."""
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not an amount in dollars; write for example 100 or 0.50") from None
    nano = amount * NANO_PER_USD if amount.is_finite() else Decimal(-1)
    if not 0 <= nano <= LARGEST_NANO or nano != nano.to_integral_value():
        most = LARGEST_NANO // NANO_PER_USD
        raise typer.BadParameter(f"{text!r}: must lie in 0..{most:,} dollars, with at most nine decimals")
    return int(nano)


def _window(word: str) -> Window:
    try:
        return Window.parse(word)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
