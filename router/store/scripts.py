"""Lua scripts and single commands, each with the reading of its reply: alone spells commands.

An `Ask` is one command with its typed reading. Asks of several parts travel in one round trip:
`await connection.run(a, b, c)`. A script goes as EVALSHA; the connection sends it along before its first use on a
link, and again where the server has forgotten it (SCRIPT FLUSH).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from hiredis import ReplyError

from router.errors import StoreUnavailable

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Argument, ...]
Reply: TypeAlias = Any  # bytes, int, None, a list of replies, or a ReplyError

T = TypeVar("T")


@dataclass(frozen=TYPE_CHECKING, slots=True)
class Ask(Generic[T]):
    """One command and how its reply is read.

    Attributes:
        command: the words of the command; key names follow the command's own position.
        parse: reads a reply that is no error. `source`: the Lua text where the command is an EVALSHA, else
            "".
    """

    command: Command
    parse: Callable[[Reply], T]
    source: str = ""

    def read(self, reply: Reply) -> T:
        """The typed result.

        Raises:
            StoreUnavailable: the server answered with an error.
        """
        if isinstance(reply, ReplyError):
            raise refusal(str(reply))
        return self.parse(reply)

    def read_or(self, reply: Reply, otherwise: T) -> T:
        """The typed result, or `otherwise` on an error: for what may degrade, as a cache may."""
        return otherwise if isinstance(reply, ReplyError) else self.parse(reply)


class Script:
    """A Lua text with its SHA-1, as Redis names it."""

    def __init__(self, *files: str) -> None:
        folder = resources.files("router.store") / "lua"
        self.source = "\n".join((folder / file).read_text("utf-8") for file in files)
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def ask(self, keys: Sequence[str], arguments: Sequence[Argument], parse: Callable[[Reply], T]) -> Ask[T]:
        """This script over these keys (all of one hash tag) and arguments."""
        return Ask(("EVALSHA", self.sha, len(keys), *keys, *arguments), parse, self.source)


# The first word of an error reply -> what an operator can do about it.
_REMEDIES = {
    "LOADING": "it is still loading its data: wait",
    "READONLY": "REDIS_URL points at a replica: point it at the primary",
    "MASTERDOWN": "the primary is down: wait for the failover",
    "CLUSTERDOWN": "the cluster has lost a part of its slots: bring the shard back",
    "OOM": "its memory is full: raise maxmemory, or shorten the cache's TTL",
    "MISCONF": "it cannot write to its disk: free space there",
    "BUSY": "a foreign script blocks it: SCRIPT KILL",
    "NOAUTH": "it wants a password: put it into REDIS_URL",
    "WRONGPASS": "the password in REDIS_URL is wrong",
    "NOPERM": "the user in REDIS_URL may not do this: grant ~b:* +@all -@dangerous",
    "NOBOOKS": "the tenant's books are missing: run `rung ledger rebuild`, then it serves again",
}


def refusal(error: str) -> StoreUnavailable:
    """An error reply as our own error, with the remedy."""
    code = error.split(" ", 1)[0]
    remedy = _REMEDIES.get(code, "see the server's log; Rung needs Redis 7 or Valkey 7.2 and newer")
    return StoreUnavailable(f"The store refuses ({error.removeprefix('ERR ')[:200]}): {remedy}.", retry_after_s=1.0)


def load_ask(source: str) -> Ask[str]:
    """Teach the server a script."""
    return Ask(("SCRIPT", "LOAD", source), text)


def text(reply: Reply) -> str:
    """A bulk reply as text."""
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def ignore(_reply: Reply) -> None:
    """For commands whose reply says nothing."""
