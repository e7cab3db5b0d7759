"""The configuration in force: settings, ladder and policy as one value, swapped whole or not at all.

Each request decides and bills by the configuration that it began with. A changed file is read within half a second; one
that is wrong changes nothing, and says why in the log, in the metrics and in `/readyz`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from policies.policy import Policy
from router.configuration import settings as configuration
from router.configuration.careful import doubts
from router.configuration.declared import declared_policy
from router.configuration.ladder import Ladder, build_ladder
from router.configuration.settings import ConfigError, Settings
from router.inputs import Rules, dump_rules
from router.upstream.local_model import Address

log = logging.getLogger("rung.configuration")

# A change shall be in force within a second.
POLL_S = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What decides a request beside the request itself.

    Attributes:
        rules, rules_id: models and policy as JSON and its hash, for the receipts (`router.inputs`).
    """

    settings: Settings
    ladder: Ladder
    policy: Policy
    rules: bytes
    rules_id: str


def configure(settings: Settings, environ: Mapping[str, str], local: Address | None) -> Configuration:
    """All of a configuration, checked. Raises ConfigError."""
    ladder, policy = build_ladder(settings, environ, local=local), declared_policy(settings)
    rules_id, rules = dump_rules(Rules(models=ladder.catalog.models, policy=policy))
    return Configuration(settings=settings, ladder=ladder, policy=policy, rules=rules, rules_id=rules_id)


class Live:
    """Holds the configuration in force.

    Attributes:
        current: what requests that begin now are decided by. refused: why the last change was not taken, or "".
    """

    def __init__(self, current: Configuration, *, local: Address | None) -> None:
        self.current = current
        self.refused = ""
        self.reloads = 0
        self._local = local

    def reload(self, path: Path) -> bool:
        """Read the file again; whether it is in force now. A wrong one changes nothing."""
        try:
            fresh = configuration.load(path)
            _keep_what_cannot_change(self.current.settings, fresh)
            self.current = configure(fresh, os.environ, self._local)
        except ConfigError as error:
            self.refused = str(error)
            log.error("the changed configuration is refused, the former one stays in force: %s", error)  # noqa: TRY400 - no traceback: the message says it all
            return False
        self.refused = ""
        self.reloads += 1
        for doubt in doubts(self.current.settings.tenants, self.current.ladder.models):
            log.warning("careful: %s", doubt)
        log.info("the changed configuration is in force: catalogue %s", self.current.ladder.catalog.version)
        return True

    async def watch(self, path: Path, changed: Callable[[Settings | None], Awaitable[None]]) -> None:
        """Reload whenever the file changes, for as long as this runs.

        Args:
            path: the file.
            changed: told of each reload: the settings in force now, or None where they were refused.
        """
        seen = _stamp(path)
        while True:
            await asyncio.sleep(POLL_S)
            now = _stamp(path)
            if now is None or now == seen:
                continue
            seen = now
            taken = await asyncio.to_thread(self.reload, path)
            await changed(self.current.settings if taken else None)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever the file does, or None while it is not there (an editor is replacing it)."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _keep_what_cannot_change(before: Settings, after: Settings) -> None:
    """Refuse changes that only a restart can make. Raises ConfigError."""
    for name in ("server", "store", "classifier", "log", "registry"):
        if getattr(before, name) != getattr(after, name):
            raise ConfigError(f"{name}: cannot change while the gateway runs; restart it for that")
