"""Drift is found where there is some, and hardly ever where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from classifier.drift import Drift, Window, compare, kolmogorov, ks


def window(seed: int, n: int = 400, *, shift: float = 0.0, harder: float = 0.0, worse: float = 0.0) -> Window:
    draw = np.random.default_rng(seed)
    p = draw.uniform(0.3, 0.9, n)
    return Window(
        inputs=draw.normal(size=(n, 20)) + shift * (np.arange(20) == 3),
        scores=np.clip(draw.beta(2, 3, n) + harder, 0, 1),
        foretold=p,
        outcome=(draw.random(n) < p - worse).astype(float),
    )


def verdicts(drift: Drift) -> dict[str, bool]:
    return {test.name: test.drifted for test in drift.tests}


@pytest.mark.parametrize(
    ("change", "name"), [({"shift": 0.6}, "inputs"), ({"harder": 0.12}, "scores"), ({"worse": 0.15}, "outcomes")]
)
def test_a_change_is_found_by_the_test_that_it_concerns(change: dict[str, float], name: str) -> None:
    found = compare(window(1), window(2, 400, **change))
    assert verdicts(found)[name]
    assert found.drifted
    assert verdicts(found)["inputs"] == (name == "inputs")


def test_forecasts_that_came_too_high_are_a_drift_of_calibration() -> None:
    assert verdicts(compare(window(1), window(2, worse=0.12)))["calibration"]


def test_alarms_without_drift_are_as_rare_as_was_asked() -> None:
    alarms = sum(compare(window(2 * seed), window(2 * seed + 1), level=0.05).drifted for seed in range(200))
    assert alarms <= 20


def test_windows_too_small_to_tell_raise_no_alarm_and_say_so() -> None:
    found = compare(window(1, 10), window(2, 10, shift=9.0))
    assert not found.drifted
    assert all("needed" in test.why for test in found.tests)


def test_kolmogorovs_distribution_has_its_known_values() -> None:
    assert kolmogorov(1.3581) == pytest.approx(0.05, abs=1e-3)
    assert kolmogorov(1.6276) == pytest.approx(0.01, abs=1e-3)
    assert kolmogorov(0.0) == 1.0
    assert ks(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0


def test_an_input_that_never_varies_is_no_drift() -> None:
    same = window(1)
    flat = Window(inputs=np.ones((400, 3)), scores=same.scores, foretold=same.foretold, outcome=same.outcome)
    assert not verdicts(compare(flat, flat))["inputs"]


def test_a_verdict_can_be_sent_as_json() -> None:
    found = compare(window(1), window(2)).as_json()
    assert {row["name"] for row in found["tests"]} == {"inputs", "scores", "calibration", "outcomes"}
