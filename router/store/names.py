"""The names of Redis keys: alone spells them, so that every key of a tenant carries the tenant's hash tag.

One tag is one slot of a Redis Cluster, and thereby one script, one transaction and one pipeline.
"""

from __future__ import annotations

import re

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)  # no braces: they would move the hash tag

REVISION = "b:rev"
TENANTS = "b:tenants"
EPOCH = "b:epoch"


def of(tenant: str, *parts: str) -> str:
    """The key `b:{tenant}:part:...`.

    Raises:
        ValueError: the id would leave its slot.
    """
    if not TENANT_ID.fullmatch(tenant):
        raise ValueError(
            f"A tenant's id is 1 to 63 of a-z, 0-9, '_', '.', '-', beginning with a letter or digit; not"
            f" {tenant[:70]!r}."
        )
    return f"b:{{{tenant}}}:" + ":".join(parts)


def api_key(key_id: str) -> str:
    """The key of an API key's record."""
    return f"b:key:{key_id}"
