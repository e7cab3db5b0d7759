"""Which set of books this is: alone notices a store that was emptied or replaced.

The first process to enter a store gives its books a random name. An account carries the name, and so may a
file beside the store: an empty store is then told from a new one, and money fails closed instead of being
given out twice.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from router.errors import StoreUnavailable
from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, text

log = logging.getLogger("rung.store")


async def enter(executor: Executor, memory: Path | None) -> str:
    """The epoch of the books, named now where they are new.

    Args:
        executor: what carries the commands.
        memory: a file that outlives the store, or None.

    Raises:
        StoreUnavailable: the store is away, or its books are not those that the file remembers.
    """
    found = await executor.ask(Ask(("GET", names.EPOCH), _epoch))
    remembered = _recall(memory)
    if remembered and found != remembered:
        raise StoreUnavailable(
            f"The store's books are {found or 'gone'}, and this gateway's were {remembered}: the store was emptied"
            f" or replaced. Rebuild them with `rung ledger rebuild`; or remove {memory} to begin with empty ones."
        )
    if not found:
        await executor.ask(Ask(("SET", names.EPOCH, secrets.token_hex(8), "NX"), _epoch))
        found = await executor.ask(Ask(("GET", names.EPOCH), _epoch))
    if not remembered:
        _remember(memory, found)
    return found


async def restore(executor: Executor, epoch: str) -> None:
    """Give an emptied store its old name again, so that it can be rebuilt. Raises StoreUnavailable."""
    await executor.ask(Ask(("SET", names.EPOCH, epoch), _epoch))


def _recall(memory: Path | None) -> str:
    return memory.read_text("utf-8").strip() if memory is not None and memory.exists() else ""


def _remember(memory: Path | None, epoch: str) -> None:
    """Write the name down. A disk that takes nothing costs the check after a restart, not the service."""
    if memory is None:
        return
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(epoch, "utf-8")
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): a store that is emptied while no process runs will not be noticed;"
            " set RUNG_STORE__DATA_DIR to a folder that outlives restarts",
            memory,
            error.strerror,
        )


def _epoch(reply: Reply) -> str:
    return text(reply) if reply is not None else ""
