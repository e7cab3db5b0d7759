"""The one door to LiteLLM: it alone decides when LiteLLM is imported and with which global settings.

Importing LiteLLM takes two to four seconds of CPU, so nothing here does it before `load` or `warm` is called.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import warnings
from types import ModuleType

# Without these two, importing LiteLLM fetches files from the network.
_OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True"}
# LiteLLM adds its own handlers and prints prompts at DEBUG; what Rung logs is Rung's affair.
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")


@functools.cache
def load() -> ModuleType:
    """Import LiteLLM, with all off that retries, reports, drops parameters or prints. Blocks for seconds."""
    os.environ.update(_OFFLINE)
    # Its own deprecations are nothing that whoever runs Rung can mend; its first reply builds pydantic models
    # for long.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm

        litellm.ModelResponse()
        litellm.ModelResponseStream()

    litellm.drop_params = False
    litellm.modify_params = False
    litellm.num_retries = 0
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_end_user_cost_tracking = True
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


def provider_of(name: str, api_base: str | None = None) -> str:
    """The provider that LiteLLM takes a model's name for. Raises ValueError where it knows none; blocks as `load`."""
    litellm = load()
    try:
        return str(litellm.get_llm_provider(name, api_base=api_base)[1])
    except litellm.exceptions.BadRequestError:
        raise ValueError(f"LiteLLM knows no provider for {name!r}: write it as provider/model") from None


async def warm() -> ModuleType:
    """`load` in a thread, so that the event loop keeps answering meanwhile."""
    return await asyncio.to_thread(load)
