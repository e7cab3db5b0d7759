"""Where the store is: alone reads a store URL and opens the socket that it names.

`redis://[user:password@]host[:port][/db]`, `rediss://` for TLS (with `ssl_cert_reqs`, `ssl_ca_certs`,
`ssl_certfile` and `ssl_keyfile` as query parameters), `unix://[user:password@]/path[?db=N]`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio.connection import parse_url

from router.store.scripts import Command

P = TypeVar("P", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server: a host and port, or a path. `shown` names it in logs and errors, without credentials."""

    shown: str
    host: str = ""
    port: int = 6379
    path: str = ""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a URL.

        Raises:
            ValueError: it is not a store URL; the message never repeats its credentials.
        """
        try:
            parts: dict[str, Any] = dict(parse_url(url))
        except ValueError:
            raise ValueError(
                "The store's URL must look like redis://host:6379/0, rediss://host:6379/0 or unix:///path/to.sock;"
                f" its scheme here is {urlsplit(url).scheme[:16]!r}."
            ) from None
        path, host = str(parts.get("path") or ""), str(parts.get("host") or "localhost")
        port = int(parts.get("port") or 6379)
        return cls(
            shown=f"unix:{path}" if path else f"{host}:{port}",
            host=host,
            port=port,
            path=path,
            tls=_context(parts) if url.startswith("rediss://") else None,
            username=str(parts.get("username") or ""),
            password=str(parts.get("password") or ""),
            database=int(parts.get("db") or 0),
        )

    def greeting(self) -> list[Command]:
        """The commands that must succeed before any other: credentials, database, and a sign of life."""
        commands: list[Command] = []
        if self.password:
            commands.append(("AUTH", self.username, self.password) if self.username else ("AUTH", self.password))
        if self.database:
            commands.append(("SELECT", self.database))
        return [*commands, ("PING",)]

    async def open(self, protocol: Callable[[], P]) -> P:
        """Connect one socket to a new protocol.

        Raises:
            OSError: nobody listens there, or the TLS handshake failed.
        """
        loop = asyncio.get_running_loop()
        if self.path:
            _, made = await loop.create_unix_connection(protocol, self.path)
        else:
            _, made = await loop.create_connection(protocol, self.host, self.port, ssl=self.tls)
        return made


def _context(parts: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
    if parts.get("ssl_certfile"):
        context.load_cert_chain(str(parts["ssl_certfile"]), parts.get("ssl_keyfile"))
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
