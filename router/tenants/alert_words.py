"""An alert in words: for the log and people, and for machines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from policies.cost import usd
from router.store import Alert


def sentence(alert: Alert) -> str:
    """The alert for people."""
    when = {"d": f"on {alert.starts}", "m": f"in {alert.starts}", "t": "in all"}[alert.window.value]
    return (
        f"tenant {alert.tenant}: budget {alert.budget} has reached {alert.threshold:.0%}:"
        f" ${usd(alert.spent_nano)} of ${usd(alert.limit_nano)} {when}"
    )


def told(alert: Alert) -> dict[str, Any]:
    """The alert for machines."""
    return {
        "object": "rung.alert",
        "tenant": alert.tenant,
        "budget": alert.budget,
        "scope": alert.scope,
        "window": alert.window.word,
        "window_starts": alert.starts or None,
        "threshold": alert.threshold,
        "spent_nano": alert.spent_nano,
        "spent_usd": usd(alert.spent_nano),
        "limit_nano": alert.limit_nano,
        "limit_usd": usd(alert.limit_nano),
        "webhook_waits": alert.waiting,
        "at": datetime.fromtimestamp(alert.at, UTC).isoformat(timespec="seconds"),
    }
