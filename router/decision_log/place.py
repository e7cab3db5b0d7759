"""Where the log lies: a folder or any fsspec URL. Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from router.configuration.settings import ConfigError, Settings

OFF = "off"
# A put to these is seen whole or not at all; elsewhere a file is written beside its place and renamed into it.
_WHOLE_PUTS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})


def log_url(settings: Settings) -> str | None:
    """Where the log of this gateway lies, or None where it has none.

    Without a setting: in the private store's folder, and nowhere where the store is somebody else's, since the machines
    that share it do not share a folder.
    """
    named = settings.log.url
    if named is not None:
        return None if named == OFF else named
    return None if settings.store.url is not None else str(settings.store.data_dir.absolute() / "log")


def check_place(settings: Settings) -> None:
    """See that there is a way to where the log shall lie, without going it. Raises ConfigError."""
    if settings.log.url is None or "://" not in settings.log.url:
        return  # a folder; importing the library of the others takes a tenth of a second
    try:
        if (url := log_url(settings)) is not None:
            Place(url)
    except (ValueError, ImportError) as error:
        remedy = "name a folder, `off`, or a URL whose fsspec package is installed"
        raise ConfigError(f"log.url: {error}; {remedy}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of the log. `path`: below the log's root."""

    path: str
    table: str
    tenant: str
    day: str


class Place:
    """The log's files.

    Args:
        url: a folder, or what fsspec understands.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        filesystem, root = url_to_fs(url)
        self._fs: Any = filesystem
        self._root: str = root.rstrip("/")
        protocol = filesystem.protocol
        self._local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
        self._whole = not {protocol, *((protocol,) if isinstance(protocol, str) else protocol)}.isdisjoint(_WHOLE_PUTS)
        self.url = url

    def write(self, path: str, content: bytes) -> None:
        """Put a file in its place; what was there is replaced."""
        goal = f"{self._root}/{path}"
        if self._whole:
            self._fs.pipe_file(goal, content)
            return
        beside = str(PurePosixPath(goal).parent / f".{secrets.token_hex(8)}.tmp")
        self._fs.makedirs(str(PurePosixPath(goal).parent), exist_ok=True)
        if self._local:
            _flushed(beside, content)
            os.replace(beside, goal)  # noqa: PTH105 - paths here are fsspec's strings
        else:
            self._fs.pipe_file(beside, content)
            self._fs.mv(beside, goal)

    def read(self, path: str) -> bytes:
        """A file's content."""
        content: bytes = self._fs.cat_file(f"{self._root}/{path}")
        return content

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone is no error."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{path}")

    def parts(self, *, table: str | None = None, tenant: str | None = None) -> Iterator[Part]:
        """The files of a table and a tenant (all where they are left out), oldest first."""
        self._fs.invalidate_cache()
        pattern = f"{self._root}/{table or '*'}/tenant={tenant or '*'}/day=*/part-*.parquet"
        for found in sorted(self._fs.glob(pattern)):
            path = str(found)[len(self._root) :].lstrip("/") if str(found).startswith(self._root) else str(found)
            name, owner, day, _ = path.split("/")[-4:]
            yield Part(path=path, table=name, tenant=owner.partition("=")[2], day=day.partition("=")[2])


def part_path(table: str, tenant: str, day: str, cursor: str, until: str) -> str:
    """The path of the file that holds a range of a tenant's stream, as far as it is of this day."""
    return f"{table}/tenant={tenant}/day={day}/part-{cursor}_{until}.parquet"


def _flushed(path: str, content: bytes) -> None:
    with open(path, "wb") as file:  # noqa: PTH123 - likewise
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
