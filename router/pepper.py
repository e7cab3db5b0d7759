"""The server's secret for the hashes of keys and cache entries: given by setting, else made once and kept in a file."""

from __future__ import annotations

import os
import secrets

from router.settings import ConfigError, Settings

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
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made ({error.strerror}); set RUNG_STORE__DATA_DIR elsewhere") from None
    value = secrets.token_hex(32).encode()
    with os.fdopen(descriptor, "wb") as file:
        file.write(value)
    return value
