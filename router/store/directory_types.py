"""Who may ask: tenants, their keys, and the principal that a request acts as. Times in UNIX seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from router.store.limits import Limits

# What a key may do: all that its tenant may, or only tell what became of answers.
INFERENCE, FEEDBACK = "inference", "feedback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Who pays.

    Attributes:
        id: in keys, logs and metrics; `search@acme` belongs to the organisation `acme`. name: for people.
        models: the model ids that it may use, or None for all. policy: what the gateway's configuration says
            of it, JSON.
        generation: of the books that were opened for it.
    """

    id: str
    name: str = ""
    disabled: bool = False
    models: frozenset[str] | None = None
    limits: Limits = field(default_factory=Limits)
    policy: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created_at: float = 0.0
    generation: str = ""

    def dump(self) -> bytes:
        """As JSON for the store."""
        return _dump(asdict(self))

    @classmethod
    def load(cls, data: bytes) -> Tenant:
        """From the store's JSON."""
        return cls(**_load(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key without its secret.

    Attributes:
        mac: HMAC of the secret. scopes: `inference`, `feedback`. models: a narrower list than the tenant's, or
            None. deny: models that it may not use, whatever the lists say.
        expires_at, revoked_at: None for never.
    """

    id: str
    tenant: str
    mac: str = field(repr=False)
    name: str = ""
    scopes: frozenset[str] = frozenset({INFERENCE})
    models: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None

    def dump(self) -> bytes:
        """As JSON for the store; what denies nothing is left out, so that an older process reads it too."""
        fields = asdict(self)
        if not self.deny:
            del fields["deny"]
        return _dump(fields)

    @classmethod
    def load(cls, data: bytes) -> Key:
        """From the store's JSON."""
        return cls(**_load(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """As whom a request acts. `organisation`: what the tenant belongs to, itself a tenant, or None."""

    tenant: Tenant
    key: Key
    organisation: Tenant | None = None

    @property
    def scope(self) -> str:
        """The key as a payer beside its tenant, for budgets, limits and cache."""
        return f"key:{self.key.id}"

    def may(self, what: str) -> bool:
        """Whether the key has this scope; whoever may ask may also tell what became of the answer."""
        return what in self.key.scopes or (what == FEEDBACK and INFERENCE in self.key.scopes)

    def may_use(self, model: str) -> bool:
        """Whether organisation, tenant and key allow this model id."""
        return model not in self.key.deny and all(models is None or model in models for models in self.model_lists)

    @property
    def model_lists(self) -> tuple[frozenset[str] | None, ...]:
        """The lists of models that hold for it; None stands for all."""
        above = None if self.organisation is None else self.organisation.models
        return self.tenant.models, self.key.models, above


def _dump(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, default=sorted, option=orjson.OPT_SORT_KEYS)  # frozensets as sorted lists


def _load(data: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(data)
    fields["limits"] = Limits(**fields["limits"])
    for name in ("models", "scopes", "deny"):
        if fields.get(name) is not None:
            fields[name] = frozenset(fields[name])
    return fields
