from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from policies.decide import decide
from policies.declared import parse
from policies.policy import DEFAULT, Policy
from policies.quality import PRIORS
from tests.policies.ladders import PROOF, SUM, USD, ask

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
NAMES = {"gpt-5-mini": "gpt-5-mini", "Opus": "claude-opus", "SmolLM2": "smollm2-135m"}


def test_the_worked_example_is_what_the_policy_really_decides():
    decision = decide(**ask(forecast=PROOF))
    rows = re.findall(
        r"^\| ([\w-]+), ([\d.]+K|none) \| ([\d.]+) \| \$([\d.]+) \| \**(-?)\$([\d.]+)\** \|$", PAGE, re.MULTILINE
    )
    assert len(rows) == len(decision.candidates)
    for candidate, (name, thinking, quality, cost, sign, net) in zip(decision.candidates, rows, strict=True):
        assert candidate.model == NAMES[name]
        assert f"{candidate.allowance / 1024:.3g}K" == thinking or (candidate.allowance, thinking) == (0, "none")
        assert candidate.quality == pytest.approx(float(quality), abs=0.0005)
        assert candidate.expected_cost_nano / USD == pytest.approx(float(cost), abs=0.0000051)
        worth = 0.1 * candidate.quality - candidate.expected_cost_nano / USD
        assert worth == pytest.approx(float(sign + net), abs=0.0000051)
    quoted = re.sub(r"\n> ?", " ", PAGE)
    for sentence in (decision.why, decision.why_not_cheaper, decision.why_not_better):
        assert sentence in quoted
    assert decide(**ask(forecast=SUM)).chosen.model == "smollm2-135m"


def test_every_knob_and_every_kind_stands_in_the_page():
    for knob in fields(Policy):
        written = (
            knob.name.replace("_nano", "_usd")
            .replace("value_at_0_usd", "value_usd.at_0")
            .replace("value_at_1_usd", ".at_1")
        )
        assert f"`{written}" in PAGE, written
    for kind in PRIORS:
        assert kind.replace("_", " ") in PAGE, kind


def test_the_defaults_in_the_page_are_the_defaults():
    knobs = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE, re.MULTILINE))
    assert knobs
    assert parse({name: float(value) for name, value in knobs.items()}) == DEFAULT
