"""Which classifier judges whose queries: the active one, a canary for a share of them, a shadow beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from classifier.types import Classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The classifiers of one group of tenants.

    Attributes:
        active: decides; None while there is none. canary: decides `share` (0..1) of the conversations, or None.
        shadow: judges beside them, or None.
    """

    active: Classifier | None
    canary: Classifier | None = None
    share: float = 0.0
    shadow: Classifier | None = None

    def of(self, who: str) -> Classifier | None:
        """Who judges for a conversation (a session's or a decision's id): the same one for the same conversation."""
        if self.canary is not None and place(self.canary.version, who) < self.share:
            return self.canary
        return self.active


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """All lanes: everyone's, and those of tenants with classifiers of their own.

    Attributes:
        sequence: of the registry's state that it was made from; 0 without a registry.
    """

    everyone: Lane
    tenants: Mapping[str, Lane] = field(default_factory=dict[str, Lane])
    sequence: int = 0

    def lane(self, tenant: str) -> Lane:
        """The lane of a tenant."""
        return self.tenants.get(tenant, self.everyone)


def place(salt: str, who: str) -> float:
    """Where a conversation falls in [0, 1): uniform, and another place for another salt."""
    digest = blake2b(f"{salt}\x00{who}".encode("utf-8", "replace"), digest_size=7).digest()
    return int.from_bytes(digest, "big") / float(1 << 56)
