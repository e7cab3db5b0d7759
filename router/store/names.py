"""The names of Redis keys: alone spells them, so that every key of a tenant carries the tenant's hash tag.

One tag is one slot of a Redis Cluster, and thereby one script, one transaction and one pipeline. The tenants of an
organisation (`search@acme`) bear the organisation's tag, so that one script moves the money of both:

    acme           b:{acme}:acct
    search@acme    b:{acme}@search:acct
"""

from __future__ import annotations

import re
from functools import lru_cache

# No braces: they would move the hash tag. After the `@` stands the organisation, itself a tenant.
TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}(@[a-z0-9][a-z0-9_.-]{0,62})?", re.ASCII)

REVISION = "b:rev"
TENANTS = "b:tenants"
EPOCH = "b:epoch"
PEPPER = "b:pepper"
SWEEP = "b:sweep"
HEALTH = "b:health"
ALERTS = "b:alerts"
LOG_LEASE = "b:shipper"
CLASSIFIERS = "b:clf"
CLASSIFIER_AUDIT = "b:clf-audit"
CLASSIFIER_HEALTH = "b:clf-health"

# Keys without a time to live, by what follows `b:` or the tenant's tag, and why. A test lets no others live
# for ever.
PERMANENT = {
    "rev": "the directory's revision: one number",
    "tenants": "the list of tenants: ends with them",
    "epoch": "names this set of books, so that an emptied store is told from a new one",
    "pepper": "a mark of the pepper that keys are hashed with, so that a machine with another one is told",
    "key": "an API key's record: revoked keys stay for the audit",
    "rec": "a tenant's record",
    "keys": "the ids of a tenant's keys",
    "members": "the names of an organisation's tenants: ends with it",
    "acct": "an account: ends with its tenant",
    "w:t": "what a tenant has spent in all",
    "exp": "open holds by lease: each is ended by settle, void or the reaper",
    "h": "an open hold is money in flight; its tombstone has a time to live",
    "led": "the durable record of money: folded into its checkpoint, never expired",
    "clf": "which classifiers are barred: until somebody lifts it",
    "clf-audit": "the last moves of classifiers, a thousand lines",
    "log": "how far a tenant's decision log is written",
    "ckpt": "the sums of the folded part of the record",
}


def of(tenant: str, *parts: str) -> str:
    """The key `b:{tenant}:part:...`, for a tenant of an organisation `b:{organisation}@tenant:part:...`.

    Raises:
        ValueError: the id would leave its slot.
    """
    return _tag(tenant) + ":".join(parts)


@lru_cache(maxsize=10_000)
def _tag(tenant: str) -> str:
    if not TENANT_ID.fullmatch(tenant):
        raise ValueError(
            f"A tenant's id is 1 to 63 of a-z, 0-9, '_', '.', '-', beginning with a letter or digit, and after an '@'"
            f" that of its organisation, where it has one; not {tenant[:130]!r}."
        )
    own, at, organisation = tenant.partition("@")
    return f"b:{{{organisation}}}@{own}:" if at else f"b:{{{tenant}}}:"


def organisation_of(tenant: str) -> str | None:
    """The id of the organisation that a tenant belongs to, or None."""
    return tenant.partition("@")[2] or None


def rules(rules_id: str) -> str:
    """The key of the rules that decisions were made by; they belong to no tenant."""
    return f"b:rules:{rules_id}"


def api_key(key_id: str) -> str:
    """The key of an API key's record."""
    return f"b:key:{key_id}"
