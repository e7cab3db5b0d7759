"""Which version of the classifier does what, for everyone and per tenant; and the moves between states, pure.

    candidate -> shadow -> canary -> active -> retired

A version is a candidate from when it is added. `active` decides; `shadow` judges live queries beside it and decides
nothing; `canary` decides a share of them. Promotion keeps the former active one as `previous`, which is what a rollback
restores. Every move raises the sequence by one; a state of a lower sequence than one already seen is a replay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

FORMAT: Final = 1
SHIPPED: Final = "default"  # the version that stands for the artefact that ships with Rung


class MoveError(ValueError):
    """A move that the state does not admit; the message says which one would come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A version that decides a share (0..1) of the queries."""

    version: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who does what, for everyone or for one tenant; None where nobody does.

    Attributes:
        active: decides. previous: what a rollback makes active again. shadow: judges beside it. canary: decides a
            share.
    """

    active: str | None = None
    previous: str | None = None
    shadow: str | None = None
    canary: Canary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The whole registry at one moment.

    Attributes:
        sequence: rises by one with every move.
        everyone: the global assignment; its `active` is never None.
        tenants: assignments of tenants that have models of their own.
        manifests: SHA-256 of the manifest of every version that was added: no other file may stand for it.
        retired: versions that may not be loaded any more.
    """

    sequence: int = 0
    everyone: Assignment = field(default_factory=lambda: Assignment(active=SHIPPED))
    tenants: Mapping[str, Assignment] = field(default_factory=dict[str, Assignment])
    manifests: Mapping[str, str] = field(default_factory=dict[str, str])
    retired: frozenset[str] = frozenset()

    def serving(self, tenant: str | None = None) -> Assignment:
        """Who serves a tenant: his own active version and what is tried against it, else everyone's.

        A tenant's own canary or shadow counts where he has no active version of his own, too; everyone's do not where
        he has one: they were proven against another.
        """
        own = self.tenants.get(tenant or "")
        if own is None:
            return self.everyone
        if own.active is not None:
            return own
        return Assignment(
            active=self.everyone.active,
            previous=self.everyone.previous,
            shadow=own.shadow or self.everyone.shadow,
            canary=own.canary or self.everyone.canary,
        )

    def stage(self, version: str) -> str:
        """`active`, `canary`, `shadow`, `previous`, `retired` or `candidate`, the first that holds anywhere."""
        for name in ("active", "canary", "shadow", "previous"):
            for one in (self.everyone, *self.tenants.values()):
                value: str | Canary | None = getattr(one, name)
                if version == (value.version if isinstance(value, Canary) else value):
                    return name
        return "retired" if version in self.retired else "candidate"

    # --- moves; every one returns the next state or raises MoveError

    def added(self, version: str, manifest_sha256: str) -> State:
        """With a new candidate."""
        if version == SHIPPED or version in self.manifests:
            raise MoveError(f"{version} is there already; give the candidate a version of its own")
        return self._next(manifests={**self.manifests, version: manifest_sha256})

    def shadowed(self, version: str | None, *, tenant: str | None = None) -> State:
        """With this version (None: no version) judging beside the active one."""
        self._check(version)
        return self._assign(tenant, shadow=version)

    def with_canary(self, version: str | None, share: float, *, tenant: str | None = None) -> State:
        """With this version deciding a share of the queries; None or a share of 0 ends it."""
        self._check(version)
        if not 0.0 <= share <= 1.0:
            raise MoveError(f"a canary's share lies between 0 and 1, not at {share}")
        canary = None if version is None or share == 0.0 else Canary(version=version, share=share)
        return self._assign(tenant, canary=canary)

    def promoted(self, version: str, *, tenant: str | None = None) -> State:
        """With this version deciding; what decided before becomes `previous`, and no trial of this one goes on."""
        self._check(version)
        own = self._own(tenant)
        if own.active == version:
            raise MoveError(f"{version} is active already")
        return self._assign(
            tenant,
            previous=own.active,
            active=version,
            shadow=None if own.shadow == version else own.shadow,
            canary=None if own.canary is not None and own.canary.version == version else own.canary,
        )

    def rolled_back(self, *, tenant: str | None = None) -> State:
        """With `previous` deciding again, and nothing on trial. For a tenant without a previous one: everyone's."""
        own = self._own(tenant)
        if own.previous is None and (tenant is None or own.active is None):
            raise MoveError("there is nothing to roll back to: nothing was promoted since")
        return self._assign(tenant, active=own.previous, previous=None, shadow=None, canary=None)

    def without(self, version: str) -> State:
        """With a version retired: it may not be loaded any more."""
        self._check(version)
        stage = self.stage(version)
        if version == SHIPPED or stage not in {"candidate", "previous"}:
            raise MoveError(f"{version} is in use ({stage}); promote another or end its trial first")
        return self._next(**_forgetting(self, version), retired=self.retired | {version})

    def _check(self, version: str | None) -> None:
        if version is None or version == SHIPPED:
            return
        if version not in self.manifests:
            known = ", ".join(sorted(self.manifests)) or "none"
            raise MoveError(f"the registry has no version {version} (it has: {known}); add it first")
        if version in self.retired:
            raise MoveError(f"{version} is retired; fit again instead of reviving it")

    def _own(self, tenant: str | None) -> Assignment:
        return self.everyone if tenant is None else self.tenants.get(tenant, Assignment())

    def _assign(self, tenant: str | None, **changes: Any) -> State:  # noqa: ANN401 - fields of Assignment
        changed = replace(self._own(tenant), **changes)
        if tenant is None:
            return self._next(everyone=changed)
        others = {name: one for name, one in self.tenants.items() if name != tenant}
        return self._next(tenants=others if changed == Assignment() else {**others, tenant: changed})

    def _next(self, **changes: Any) -> State:  # noqa: ANN401 - fields of State
        return replace(self, sequence=self.sequence + 1, **changes)


def to_json(state: State) -> str:
    """The state as canonical JSON: what is signed."""
    value = {"format": FORMAT, **asdict(state), "retired": sorted(state.retired)}
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> State:
    """What `to_json` wrote.

    Raises:
        ValueError: it did not.
    """
    value: dict[str, Any] = json.loads(text)
    if value.pop("format", None) != FORMAT:
        raise ValueError(f"the registry's state is not of format {FORMAT}; use the Rung that wrote it")
    try:
        return State(
            sequence=int(value["sequence"]),
            everyone=_assignment(value["everyone"]),
            tenants={name: _assignment(one) for name, one in value["tenants"].items()},
            manifests=dict(value["manifests"]),
            retired=frozenset(value["retired"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the registry's state lacks a field or has a wrong one: {error!r}") from error


def _assignment(value: Mapping[str, Any]) -> Assignment:
    canary: Mapping[str, Any] | None = value["canary"]
    others: dict[str, Any] = {name: part for name, part in value.items() if name != "canary"}
    return Assignment(**others, canary=None if canary is None else Canary(**canary))


def _forgetting(state: State, version: str) -> dict[str, Any]:
    """The assignments where this version is no longer what a rollback restores."""

    def bare(one: Assignment) -> Assignment:
        return replace(one, previous=None) if one.previous == version else one

    return {"everyone": bare(state.everyone), "tenants": {name: bare(one) for name, one in state.tenants.items()}}
