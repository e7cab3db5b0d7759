"""Policies as operators write them: plain mappings (from YAML or JSON), checked as a whole, with every mistake named.

    version: "2026-11"
    value_usd: {at_0: 0.0003, at_1: 3}
    tolerance: 0.1
    thinking_quantile: 0.95
    curves:
      logic: {gain: 2.4}
      trick: {gain: 1.0, floor_tokens: 4000}

All mistakes are reported together, each with its path and the remedy; the caller maps paths to lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, cast

from policies.errors import CatalogError
from policies.policy import DEFAULT, Policy
from policies.quality import CURVES, Curve
from policies.types import NANO_PER_USD


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing wrong with a policy.

    Attributes:
        path: where, for example ("curves", "logic", "gain"). message: what, and how to mend it.
    """

    path: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path) or 'policy'}: {self.message}"


class InvalidPolicy(CatalogError):
    """A declared policy has mistakes.

    Attributes:
        mistakes: all of them, in the order of the document.
    """

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """What a number may be. `whole`: only an integer. `usd`: dollars, exact, turned into nano-dollars."""

    least: float
    most: float
    whole: bool = False
    usd: bool = False
    open: bool = False


_KNOBS = {
    "tolerance": _Range(least=0, most=1),
    "answer_cap": _Range(least=16, most=1_000_000, whole=True),
    "answer_cap_factor": _Range(least=1, most=100, whole=True),
    "max_attempts": _Range(least=1, most=10, whole=True),
    "fallback_hold_usd": _Range(least=0, most=1000, usd=True),
    "fallback_hold_factor": _Range(least=0, most=1000, whole=True),
    "thinking_quantile": _Range(least=0, most=1, open=True),
    "explore_extra_usd": _Range(least=0, most=100, usd=True),
}
_VALUE = {"at_0": _Range(least=1e-9, most=1000, usd=True), "at_1": _Range(least=1e-9, most=1000, usd=True)}
_CURVE = {
    "gain": _Range(least=-10, most=10),
    "floor_tokens": _Range(least=0, most=1_000_000, whole=True),
    "tokens": _Range(least=0.01, most=100),
}


def parse(declared: object) -> Policy:
    """A policy from a mapping. What is not given keeps its default; given curves are laid over the learnt ones.

    Raises:
        InvalidPolicy: with every mistake.
    """
    reader = _Reader()
    top = reader.mapping((), declared, {*_KNOBS, "version", "value_usd", "curves"})
    fields: dict[str, Any] = {}
    if "version" in top:
        fields["version"] = reader.text(("version",), top["version"])
    for name, value in reader.numbers((), top, _KNOBS).items():
        fields[name.replace("_usd", "_nano")] = value
    value_usd = reader.mapping(("value_usd",), top.get("value_usd", {}), set(_VALUE))
    for name, value in reader.numbers(("value_usd",), value_usd, _VALUE).items():
        fields[f"value_{name}_nano"] = value
    fields["curves"] = _curves(reader, top.get("curves", {}))
    low = fields.get("value_at_0_nano", DEFAULT.value_at_0_nano)
    if low > fields.get("value_at_1_nano", DEFAULT.value_at_1_nano):
        reader.wrong(("value_usd", "at_1"), "must not be below at_0: a higher dial never values an answer less")
    if reader.mistakes:
        raise InvalidPolicy(tuple(reader.mistakes))
    return Policy(**fields)


def _curves(reader: _Reader, declared: object) -> Mapping[str, Curve]:
    curves = dict(CURVES)
    given = declared if isinstance(declared, Mapping) else reader.mapping(("curves",), declared, set())
    for kind, body in cast("Mapping[str, object]", given).items():
        path = ("curves", str(kind))
        read = reader.numbers(path, reader.mapping(path, body, set(_CURVE)), _CURVE)
        if "gain" in read:
            curves[str(kind)] = Curve(**read)
        elif isinstance(body, Mapping) and "gain" not in body:
            reader.wrong(path, "needs a `gain` in log-odds, for example 0.6")
    return curves


class _Reader:
    """Collects mistakes instead of stopping at the first."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def wrong(self, path: tuple[str, ...], message: str) -> None:
        self.mistakes.append(Mistake(path=path, message=message))

    def mapping(self, path: tuple[str, ...], given: object, known: set[str]) -> dict[str, object]:
        if not isinstance(given, Mapping):
            self.wrong(path, f"must be a mapping, not {given!r}")
            return {}
        body = {str(k): v for k, v in cast("Mapping[object, object]", given).items()}
        for name in body.keys() - known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(known))}"
            self.wrong((*path, name), f"is not a setting; {hint}")
        return body

    def text(self, path: tuple[str, ...], given: object) -> str:
        if not isinstance(given, str) or not given:
            self.wrong(path, f"must be a text in quotes, not {given!r}")
            return ""
        return given

    def numbers(
        self, path: tuple[str, ...], given: Mapping[str, object], ranges: Mapping[str, _Range]
    ) -> dict[str, Any]:
        read = {name: self._number((*path, name), given[name], ranges[name]) for name in ranges if name in given}
        return {name: value for name, value in read.items() if value is not None}

    def _number(self, path: tuple[str, ...], given: object, allowed: _Range) -> float | None:
        exact = _decimal(given)
        ends = (Decimal(str(allowed.least)), Decimal(str(allowed.most)))
        inside = exact is not None and (ends[0] < exact < ends[1] if allowed.open else ends[0] <= exact <= ends[1])
        if exact is None or not inside or (allowed.whole and exact != int(exact)):
            kind = "a whole number" if allowed.whole else "a number"
            between = "strictly between" if allowed.open else "from"
            joint = "and" if allowed.open else "to"
            self.wrong(path, f"must be {kind} {between} {allowed.least:g} {joint} {allowed.most:g}, not {given!r}")
            return None
        if allowed.usd:
            return int(exact * NANO_PER_USD)
        return int(exact) if allowed.whole else float(exact)


def _decimal(given: object) -> Decimal | None:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        exact = Decimal(str(given))
    except InvalidOperation:
        return None
    return exact if exact.is_finite() else None
