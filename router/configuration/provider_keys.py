"""Which of the environment's keys are a provider's: in the shell of an application, OPENAI_API_KEY holds Rung's own.

Such a key is never sent to a provider, and opens no ladder. Towards a server of one's own (another gateway) it may be
the right one.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.errors import InvalidKey
from router.store import Token
from router.upstream.discover import PROVIDERS


def is_ours(value: str) -> bool:
    """Whether it looks like a key that `rung keys create` made."""
    try:
        Token.parse(value.strip())
    except InvalidKey:
        return False
    return True


def without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without Rung's own keys in the variables of providers that have an address of their own."""
    hosted = {provider.key_env for provider in PROVIDERS if not provider.base_envs}
    return {name: value for name, value in environ.items() if not (name in hosted and is_ours(value))}
