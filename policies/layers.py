"""Wishes in layers: what operator, tenant, key and caller want, combined so that no layer loosens another."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from policies.types import Wishes

_Number = TypeVar("_Number", int, float)


def within(outer: Wishes, inner: Wishes) -> Wishes:
    """The inner layer's wishes within the outer's limits.

    The dial is the inner layer's. Ceilings are the lower of both, floors the higher; what one denies, bars or requires
    holds; what may be used is what both allow. What an answer is worth is for the outer layer to say, which pays.
    Exploration needs the consent of both.
    """
    return replace(
        inner,
        max_cost_nano=_least(outer.max_cost_nano, inner.max_cost_nano),
        max_reasoning_tokens=_least(outer.max_reasoning_tokens, inner.max_reasoning_tokens),
        max_latency_s=_least(outer.max_latency_s, inner.max_latency_s),
        min_quality=_most(outer.min_quality, inner.min_quality),
        allow=_both(outer.allow, inner.allow),
        deny=outer.deny | inner.deny,
        require_tags=outer.require_tags | inner.require_tags,
        barred_tiers=outer.barred_tiers | inner.barred_tiers,
        explore=min(outer.explore, inner.explore),
        value_nano=inner.value_nano if outer.value_nano is None else outer.value_nano,
    )


def _least(one: _Number | None, other: _Number | None) -> _Number | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _most(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other
