"""`policies:` in `rung.yaml`: checked by the policy's own rules, with mistakes named by their place in the file."""

from __future__ import annotations

from policies.declared import InvalidPolicy, parse
from policies.policy import Policy
from router.configuration.settings import ConfigError, Settings


def declared_policy(settings: Settings) -> Policy:
    """The operator's policy over the defaults.

    Raises:
        ConfigError: every mistake, with its place and the remedy.
    """
    try:
        return parse(settings.policies)
    except InvalidPolicy as error:
        lines = "\n".join(f"  policies.{mistake}" for mistake in error.mistakes)
        raise ConfigError(f"policies: {len(error.mistakes)} thing(s) to mend:\n{lines}") from None
