"""The server's secret for the hashes of keys and cache entries: given by setting, else made once and kept in a file."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from router.configuration.settings import ConfigError, Settings

MIN_CHARACTERS = 16


def read_pepper(settings: Settings) -> bytes:
    """The pepper: `RUNG_STORE__PEPPER` where it is set, else the data directory's, made at the first start.

    Raises:
        ConfigError: it is too short, or the file cannot be read or made.
    """
    given = settings.store.pepper
    if given is not None:
        value = given.get_secret_value().encode()
        if len(value) < MIN_CHARACTERS:
            raise ConfigError(
                f"store.pepper: needs at least {MIN_CHARACTERS} characters; `openssl rand -hex 32` makes one"
            )
        return value
    path = settings.store.data_dir / "pepper"
    try:
        if not path.exists():
            _make(path)
        value = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read or made ({error.strerror}); set RUNG_STORE__DATA_DIR elsewhere"
        ) from None
    if len(value) < MIN_CHARACTERS:
        raise ConfigError(
            f"{path}: is damaged: put its {MIN_CHARACTERS} or more characters back from a copy, or remove"
            " it and make new keys for every tenant"
        )
    return value


def _make(path: Path) -> None:
    """Make the file, whole or not at all: of processes that start together, all read what the first has made."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix="pepper-") as draft:  # made for its owner's eyes only
        draft.write(secrets.token_hex(32).encode())
        draft.flush()
        with contextlib.suppress(FileExistsError):
            os.link(draft.name, path)
