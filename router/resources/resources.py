"""What a gateway stands on beside its own process: the store's server, the bundled model, the demo's key.

`rung serve` starts them once, before its worker processes; an application that is made without them starts its own.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field

from pydantic import SecretStr

from router.configuration.ladder import needs_local_model
from router.configuration.settings import ConfigError, Settings
from router.resources.kept_model import KeptModel
from router.resources.kept_store import KeptStore
from router.store import Token
from router.upstream.local_model import Address

_STORE_URL, _LOCAL_URL, _LOCAL_KEY, _DEMO_KEY = (
    "RUNG_INTERNAL_STORE_URL",
    "RUNG_INTERNAL_LOCAL_URL",
    "RUNG_INTERNAL_LOCAL_KEY",
    "RUNG_INTERNAL_DEMO_KEY",
)


@dataclass(slots=True, kw_only=True)
class Resources:
    """Started resources, and how to stop those that are ours.

    Attributes:
        store_url: where the store answers.
        local_model: where the bundled model answers, or None.
        demo_key: the demo tenant's key, or None where there is none.
    """

    store_url: str
    local_model: Address | None = None
    demo_key: str | None = field(default=None, repr=False)
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)

    def stop(self) -> None:
        """Stop what was started here."""
        self._stack.close()

    def export(self) -> dict[str, str]:
        """As environment variables, for worker processes."""
        values = {
            _STORE_URL: self.store_url,
            _LOCAL_URL: self.local_model.url if self.local_model else None,
            _LOCAL_KEY: self.local_model.api_key.get_secret_value() if self.local_model else None,
            _DEMO_KEY: self.demo_key,
        }
        return {name: value for name, value in values.items() if value is not None}


def inherited_resources(environ: dict[str, str]) -> Resources:
    """What the parent process has started, from `Resources.export`."""
    url, key = environ.get(_LOCAL_URL), environ.get(_LOCAL_KEY)
    return Resources(
        store_url=environ[_STORE_URL],
        local_model=Address(url=url, api_key=SecretStr(key)) if url and key else None,
        demo_key=environ.get(_DEMO_KEY),
    )


def start_resources(settings: Settings) -> Resources:
    """Start what the settings ask for. Blocks for a second or two where the bundled model is among it.

    Raises:
        StoreUnavailable, NotAvailable, UpstreamError: what did not start and how to mend it.
    """
    stack = ExitStack()
    try:
        # The model takes a second or two to load: it is started first and waited for last.
        local = stack.enter_context(KeptModel()) if needs_local_model(settings, os.environ) else None
        url = settings.store.url
        own = url is None
        if url is None:
            url = stack.enter_context(KeptStore(settings.store.data_dir)).url
        demo = demo_key(settings) if own and not settings.tenants else None
        address = local.wait() if local is not None else None
    except BaseException:
        stack.close()
        raise
    return Resources(store_url=url, local_model=address, demo_key=demo, _stack=stack)


def demo_key(settings: Settings) -> str:
    """The demo tenant's key: drawn once and kept in the data directory, so that it is the same at the next start.

    Raises:
        ConfigError: the file cannot be made.
    """
    path = settings.store.data_dir / "demo_key"
    try:
        if path.is_file():
            return path.read_text(encoding="ascii").strip()
        token = Token.new().reveal()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(token + "\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made ({error.strerror}); set RUNG_STORE__DATA_DIR elsewhere") from None
    return token
