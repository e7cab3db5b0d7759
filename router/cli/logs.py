"""`rung logs`: the decision log and the outcomes in it: looked at, exported, written now, erased."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from policies.log_schema import DECISIONS, OUTCOMES
from router.cli.session import with_store
from router.configuration.settings import ConfigError, Settings
from router.decision_log import parquet
from router.decision_log.erasure import Erased
from router.decision_log.erasure import erase as erase_all
from router.decision_log.place import Place, log_url
from router.decision_log.shipper import Shipped, Shipper
from router.store import Store

app = typer.Typer(
    help="The decision log and what became of the answers: look at it, export it, write it now, erase from it.",
    no_args_is_help=True,
)

POLL_S = 0.5  # an eye does not see more often
TAIL_PAGE = 200


class Table(StrEnum):
    """What there is to export."""

    decisions = DECISIONS
    outcomes = OUTCOMES


_Tenant = Annotated[str, typer.Option(help="A tenant's id, as `rung tenants list` shows it.")]


@app.command()
def tail(
    tenant: _Tenant = "demo",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="How many of the last ones.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing new ones until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Whole records, one a line.")] = False,
) -> None:
    """Show a tenant's last decisions, from the store: they are there before the log's files have them.

    Example: rung logs tail --tenant acme -f
    """

    async def work(store: Store, _settings: Settings) -> None:
        await store.directory.tenant(tenant)
        last = await store.decisions.latest(tenant, count)
        after = last[-1].cursor if last else "0-0"
        if not last:
            print(
                f"no decisions of {tenant} are in the store (`rung logs export` has older ones)",
                file=sys.stderr,
                flush=True,
            )
        for content in await store.decisions.read(tenant, last):
            _show(orjson.loads(content), as_json=as_json)
        while follow:
            entries = await store.decisions.entries(tenant, after=after, count=TAIL_PAGE)
            for content in await store.decisions.read(tenant, entries):
                _show(orjson.loads(content), as_json=as_json)
            after = entries[-1].cursor if entries else after
            await asyncio.sleep(POLL_S)

    with_store(work)


def _show(record: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        record.pop("inputs", None)
        print(orjson.dumps(record).decode(), flush=True)
        return
    served = record["served"]
    said = record["error"] or served.get("finish_reason") or ""
    when = datetime.fromtimestamp(record["created"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    print(
        f"{when}  {record['id']}  {served['tier']:<10} {served['model']:<28} ${served['cost_usd']:<14}"
        f" {record['duration_ms']:>8.0f} ms  {record['cache']:<7} {said}",
        flush=True,
    )


@app.command()
def export(
    table: Annotated[Table, typer.Option(help="Which table.")] = Table.decisions,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's rows; all tenants where left out.")] = None,
    since: Annotated[str | None, typer.Option(help="From this UTC day on, for example 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this UTC day, itself included.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .parquet or .jsonl file; standard output as JSON lines.")] = None,
) -> None:
    """Write rows of the log's files, one JSON object a line or as one Parquet file.

    Example: rung logs export --tenant acme --since 2026-11-01 --out november.parquet
    """
    if out is not None and out.suffix not in {".parquet", ".jsonl"}:
        raise typer.BadParameter(f"{out}: name it .parquet or .jsonl")
    rows = _rows(_place(), table.value, tenant, _day(since), _day(until))
    if out is not None and out.suffix == ".parquet":
        kept = list(rows)
        out.write_bytes(parquet.encode(table.value, kept))
        print(f"{len(kept)} rows in {out}", file=sys.stderr)
        return
    target = sys.stdout.buffer if out is None else out.open("wb")
    written = 0
    for written, row in enumerate(rows, start=1):  # noqa: B007 - the count outlives the loop
        target.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    if out is not None:
        target.close()
    print(f"{written} rows{f' in {out}' if out is not None else ''}", file=sys.stderr)


def _rows(place: Place, table: str, tenant: str | None, since: date | None, until: date | None) -> Iterator[Any]:
    for part in place.parts(table=table, tenant=tenant):
        day = date.fromisoformat(part.day)
        if (since is None or day >= since) and (until is None or day <= until):
            yield from parquet.decode(place.read(part.path))


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; write it as 2026-11-01") from None


@app.command()
def ship() -> None:
    """Write what is new into the log's files now, instead of waiting for the gateway's writer.

    Safe beside a running gateway: both write the same files.
    """

    async def work(store: Store, settings: Settings) -> Shipped:
        return await Shipper(store, _place(settings), reliability=settings.log.reliability).ship()

    done = with_store(work)
    print(f"{done.decisions} decisions and {done.outcomes} outcomes written")


@app.command()
def erase(
    tenant: Annotated[str, typer.Option(help="Whose log.")],
    user: Annotated[
        str | None, typer.Option(help="Only this end user's, as clients name him in `user`; else everybody's.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase what is logged of a tenant or of one of its users, from the files and from the store. It cannot be undone.

    The tenant's books stay: they hold amounts, no text and no user. Run it again where it was interrupted.

    Example: rung logs erase --tenant acme --user u-1234
    """
    whom = f"{tenant}, user {user}" if user is not None else tenant
    if not yes:
        typer.confirm(f"Erase the whole decision log of {whom}?", abort=True)

    async def work(store: Store, settings: Settings) -> Erased:
        await store.directory.tenant(tenant)
        place = None if log_url(settings) is None else _place(settings)
        return await erase_all(store, place, tenant, user)

    done = with_store(work)
    print(
        f"{whom}: {done.rows} rows of {done.files} files, {done.records} records and {done.outcomes} outcomes"
        " of the store erased"
    )


def _place(settings: Settings | None = None) -> Place:
    """Where the log lies. Raises ConfigError."""
    from router.configuration import settings as configuration

    url = log_url(settings or configuration.load())
    if url is None:
        raise ConfigError("log.url: there is no decision log here; set RUNG_LOG__URL to a folder or an fsspec URL")
    parquet.require()
    return Place(url)
