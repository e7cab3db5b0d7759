"""What the ledger says. Money in nano-dollars, times in UNIX seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import orjson

from policies.types import Purse

LARGEST_NANO = 2**53 - 1  # Lua counts in doubles, exact so far: 9,007,199 dollars


# Where a budget says nothing: half is gone, time to look; the end is near; nothing is left.
ALERTS = (0.5, 0.8, 1.0)


class Window(StrEnum):
    """How often a budget begins anew, in UTC. The value is the letter that the store uses."""

    DAY = "d"
    MONTH = "m"
    TOTAL = "t"  # never

    @classmethod
    def parse(cls, word: str) -> Window:
        """From `day`, `month` or `total`. Raises ValueError."""
        try:
            return cls[word.upper()]
        except KeyError:
            raise ValueError(f"A budget's window is day, month or total, not {word[:20]!r}.") from None

    @property
    def word(self) -> str:
        """`day`, `month` or `total`."""
        return self.name.lower()


class State(StrEnum):
    """What the reaper may conclude of a hold whose holder has died."""

    OPEN = "open"  # nothing was sent: nothing is charged
    CALL = "call"  # sent, and nobody saw what came of it: the whole hold is charged, marked estimated
    STREAM = "stream"  # sent; what had come by the last renewal and one interval more is charged, marked estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a budget says beside its limit.

    Attributes:
        soft: the share of the limit from which on requests go on with less and less, and are marked; or None.
        rollover: the share of what a window leaves that goes on into the next one. rollover_cap_nano: the most that
            does, or None.
        alerts: the shares of the limit at which somebody is told, rising.

    Raises:
        ValueError: a share outside of 0..1, or a cap that cannot be counted.
    """

    soft: float | None = None
    rollover: float = 0.0
    rollover_cap_nano: int | None = None
    alerts: tuple[float, ...] = ALERTS

    def __post_init__(self) -> None:
        if self.soft is not None and not 0 <= self.soft <= 1:
            raise ValueError(f"A soft limit is a share of the limit, 0 to 1, not {self.soft}.")
        if not 0 <= self.rollover <= 1:
            raise ValueError(f"What rolls over is a share of what is left, 0 to 1, not {self.rollover}.")
        if self.rollover_cap_nano is not None and not 0 <= self.rollover_cap_nano <= LARGEST_NANO:
            raise ValueError(f"The most that rolls over must lie in 0..{LARGEST_NANO} nano-dollars.")
        if any(not 0 < share <= 1 for share in self.alerts):
            raise ValueError(f"An alert's threshold is a share of the limit, above 0 and at most 1: {self.alerts}.")

    def dump(self) -> dict[str, str]:
        """As the account keeps it, in strings: Lua's numbers are not ours. What is left at its default is left out."""
        kept: dict[str, str] = {} if self.soft is None else {"soft": repr(float(self.soft))}
        if self.rollover:
            kept["roll"] = repr(float(self.rollover))
            kept |= {} if self.rollover_cap_nano is None else {"cap": str(self.rollover_cap_nano)}
        return kept if self.alerts == ALERTS else kept | {"alerts": shares_word(self.alerts)}

    @classmethod
    def load(cls, kept: dict[str, str]) -> Terms:
        """From `dump`."""
        alerts = [float(share) for share in kept.get("alerts", "").split(",") if share]
        return cls(
            soft=float(kept["soft"]) if "soft" in kept else None,
            rollover=float(kept.get("roll", 0)),
            rollover_cap_nano=int(kept["cap"]) if "cap" in kept else None,
            alerts=tuple(alerts) if "alerts" in kept else ALERTS,
        )


def shares_word(shares: Iterable[float]) -> str:
    """Shares as a script reads them, rising, each once."""
    return ",".join(repr(float(share)) for share in sorted(set(shares)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A budget as it was set. `scope`: see `Budget`."""

    name: str
    scope: str
    window: Window
    limit_nano: int
    terms: Terms = Terms()

    def dump(self) -> str:
        """As the account keeps it: a flat object of strings."""
        named = {"name": self.name, "scope": self.scope, "window": self.window.value, "limit": str(self.limit_nano)}
        return orjson.dumps(named | self.terms.dump()).decode()

    @classmethod
    def load(cls, kept: dict[str, str]) -> Grant:
        """From the object that `dump` writes."""
        return cls(
            name=kept["name"],
            scope=kept["scope"],
            window=Window(kept["window"]),
            limit_nano=int(kept["limit"]),
            terms=Terms.load(kept),
        )


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Budget:
    """One budget in its present window.

    Attributes:
        name: unique in the tenant. scope: whose spend it limits: `""` the whole tenant, else for example
            `key:ab12`, or `@acme` for the organisation `acme` with all its tenants.
        starts_at, ends_at: the window, in seconds since 1970; `ends_at` is None for one that never ends.
        limit_nano: of this window: what rolled over (`rolled_nano`) is in it.
        soft: the share of the limit that is soft, or None; see `Terms`.
    """

    name: str
    scope: str
    window: Window
    limit_nano: int
    spent_nano: int
    held_nano: int
    starts_at: float
    ends_at: float | None
    soft: float | None = None
    rolled_nano: int = 0

    @property
    def remaining_nano(self) -> int:
        """What may still be reserved; never below 0."""
        return max(0, self.limit_nano - self.spent_nano - self.held_nano)

    @property
    def is_past_soft(self) -> bool:
        """Whether what is spent and held has reached the soft limit."""
        return self.soft is not None and self.spent_nano + self.held_nano >= self.soft * self.limit_nano

    @property
    def of_organisation(self) -> bool:
        """Whether it is shared by all tenants of an organisation."""
        return self.scope.startswith("@")

    @property
    def own_name(self) -> str:
        """Its name in the books that it belongs to: `month` of the organisation's `@acme month`."""
        return self.name.partition(" ")[2] if self.of_organisation else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What a tenant has spent and holds, budget or not."""

    spent_nano: int
    held_nano: int


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Funds:
    """What may be spent at one moment. `now`: the store's clock; `budgets`: those that cover the scopes asked for."""

    now: float
    budgets: tuple[Budget, ...]

    @property
    def tightest(self) -> Budget | None:
        """The budget with the least left, or None where nothing limits the tenant."""
        return min(self.budgets, key=lambda budget: budget.remaining_nano, default=None)

    @property
    def purse(self) -> Purse:
        """The policy's view; its pacing price is for the caller to set."""
        return purse_of(self.budgets)


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Standing(Funds):
    """A tenant's money at one moment, with what it has spent and holds by day, month and in all."""

    day: Meter
    month: Meter
    total: Meter


def purse_of(budgets: tuple[Budget, ...]) -> Purse:
    """The tightest of the budgets as the policy reads it."""
    tightest = min(budgets, key=lambda budget: budget.remaining_nano, default=None)
    if tightest is None:
        return Purse()
    return Purse(
        remaining_nano=tightest.remaining_nano,
        limit_nano=tightest.limit_nano,
        spent_nano=tightest.spent_nano,
        held_nano=tightest.held_nano,
    )


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Hold:
    """Money set aside for one request; what settle, void and renew need to know of it.

    Attributes:
        windows: the windows that it is booked in, fixed at the reservation. scopes: who is charged.
        reserved_at_ms: the store's clock. budgets: as they stood before this hold.
    """

    tenant: str
    id: str
    amount_nano: int
    windows: str
    scopes: tuple[str, ...]
    reserved_at_ms: int
    budgets: tuple[Budget, ...] = field(default=(), compare=False)


Outcome = Literal["settled", "void", "late", "already", "forgotten", "waiting"]


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Ending:
    """How a settle or void went.

    Attributes:
        outcome: `settled` or `void` by this call; `already` by an earlier one; `late`: charged after the reaper, or
            after the store had lost the hold; `forgotten`: unknown and too old to be charged again, or nothing to
            void; `waiting`: in the outbox until the store is back.
        charged_nano: what the hold has cost in all.
    """

    outcome: Outcome
    charged_nano: int


def read_budgets(rows: list[Any]) -> tuple[Budget, ...]:
    """Budgets from a script's reply."""
    return tuple(
        Budget(
            name=row[0].decode(),
            scope=row[1].decode(),
            window=Window(row[2].decode()),
            limit_nano=int(row[3]),
            spent_nano=int(row[4]),
            held_nano=int(row[5]),
            starts_at=int(row[6]) / 1000,
            ends_at=int(row[7]) / 1000 if int(row[7]) else None,
            soft=float(row[8]) if len(row) > 8 and row[8] else None,  # noqa: PLR2004 - the script's row
            rolled_nano=int(row[9]) if len(row) > 9 else 0,  # noqa: PLR2004 - likewise
        )
        for row in rows
    )
