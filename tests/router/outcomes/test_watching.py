"""A classifier that no longer tells the truth is noticed, and one that does is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from router.outcomes.watching import RECENT, REFERENCE, Bounds, LiveWatch, is_trusted, stability

RNG = np.random.default_rng(0)


def told(watch: LiveWatch, version: str, *, promised: float, observed: float, count: int) -> None:
    for one in RNG.random(count) < observed:
        watch.told(version, promised, float(one))


def test_promises_that_are_kept_are_in_order_and_broken_ones_are_not() -> None:
    watch = LiveWatch()
    told(watch, "good", promised=0.8, observed=0.8, count=500)
    told(watch, "vain", promised=0.9, observed=0.6, count=500)
    told(watch, "timid", promised=0.3, observed=0.7, count=500)
    told(watch, "young", promised=0.9, observed=0.3, count=199)
    verdicts = {name: watch.verdict(name, None, Bounds()) for name in ("good", "vain", "timid", "young", "unknown")}
    assert {name for name, why in verdicts.items() if why is not None} == {"vain", "timid"}
    assert "promised 0.90" in str(verdicts["vain"])


def test_a_finding_needs_more_than_chance() -> None:
    watch = LiveWatch()
    told(watch, "v", promised=0.66, observed=0.5, count=40)
    assert watch.verdict("v", None, Bounds(outcomes=20, calibration=0.01, sigmas=10)) is None


def test_less_success_than_before_is_noticed_even_where_it_was_promised() -> None:
    watch = LiveWatch()
    told(watch, "before", promised=0.85, observed=0.85, count=500)
    told(watch, "now", promised=0.65, observed=0.65, count=500)
    assert watch.verdict("now", None, Bounds()) is None
    assert "where" in str(watch.verdict("now", "before", Bounds()))
    assert watch.verdict("before", "now", Bounds()) is None


def test_drift_shows_when_questions_become_others() -> None:
    def health(later: float) -> tuple[float | None, float | None]:
        watch = LiveWatch()
        for n in range(REFERENCE + RECENT):
            moved = n >= REFERENCE
            centre = later if moved else 0.3
            vector = np.array([0.0, 1.0]) if moved and later != 0.3 else np.array([1.0, 0.0])
            watch.decided("v", float(np.clip(RNG.normal(centre, 0.1), 0, 1)), vector)
        found = watch.health("v")
        return found.drift, found.shift

    same, other = health(0.3), health(0.6)
    assert same[0] is not None
    assert same[1] is not None
    assert same[0] < 0.1
    assert same[1] == pytest.approx(0)
    assert other[0] is not None
    assert other[1] is not None
    assert other[0] > 0.25
    assert other[1] > 0.5


def test_few_decisions_say_nothing_of_drift() -> None:
    watch = LiveWatch()
    watch.decided("v", 0.5, None)
    assert watch.health("v").drift is None
    assert watch.versions == ("v",)


def test_equal_shares_are_perfectly_stable() -> None:
    assert stability(list(RNG.random(5_000)), list(RNG.random(5_000))) < 0.02


@pytest.mark.parametrize(
    ("source", "trusted"),
    [("feedback.thumbs", True), ("judge", True), ("checker.mine", True), ("implicit.retried", False)],
)
def test_only_those_who_also_tell_success_count(source: str, *, trusted: bool) -> None:
    assert is_trusted(source) is trusted
