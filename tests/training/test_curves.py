"""The recipe of the quality curves finds what is there, keeps the prior where little is, and does not flatter."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from policies import learnt as shipped
from policies.quality import PRIORS
from training.cli import app
from training.curve_studies import EXERCISES, Study, pairs, studies
from training.curve_table import module_text
from training.curves import LEAST_TAU, PRIOR_ERROR, Learnt, gains, held_out, learn
from training.data import DataError

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def study(effect: float, *, model: str = "m", error: float = 0.1, kind: str = "trick") -> Study:
    low = 0.4
    odds = low / (1 - low) * np.exp(effect)
    return Study(
        source="made",
        model=model,
        kind=kind,
        bare_tokens=0,
        tokens=1_000_000,
        bare=low,
        thinking=odds / (1 + odds),
        error=error,
        weight=100.0,
    )


def files(folder: Path, *, gain: float) -> Path:
    """Results in which thinking adds `gain` to the log-odds of a trick question, and nothing to a coding one."""
    draw = np.random.default_rng(0)
    names = {pair.bare: 0.0 for pair in pairs("misguided_attention")}
    names |= {pair.thinking: gain for pair in pairs("misguided_attention")}
    rows = [
        {"prompt": f"trick {q}", "category": "trick", "model": model, "score": float(draw.random() < p)}
        for model, extra in names.items()
        for p in [1 / (1 + np.exp(-(-0.4 + extra)))]
        for q in range(400)
    ]
    pd.DataFrame(rows).to_parquet(folder / "misguided_attention.parquet")
    aider = {name: 50.0 for pair in pairs("aider") for name in (pair.bare, pair.thinking)}
    pd.DataFrame({"model": list(aider), "pass_rate_2": list(aider.values())}).to_csv(
        folder / "aider_polyglot.csv", index=False
    )
    models = {"claude-3.5-sonnet": 0.5, "gemma-3-27b-it": 0.4, "llama-3.3-70b-instruct": 0.3, "llama-4-scout": 0.45}
    models |= {"deepseek-r1": 0.7, "qwq-32b": 0.6}
    rows = [
        {"prompt": f"{family} {q}", "category": family, "model": model, "score": float(q < 20 * p)}
        for family in ("logic:a", "logic:b", "algebra:a", "geometry:b", "code:bf", "code:c")
        for model, p in models.items()
        for q in range(20)
    ]
    pd.DataFrame(rows).to_parquet(folder / "reasoning_gym.parquet")
    rows = [
        {"prompt": f"{category} {q}", "category": category, "model": "m", "score": 1.0, "reasoning_tokens": tokens}
        for category, tokens in (("Math", 2700.0), ("logic puzzle", 1350.0), ("knowledge", 1.0))
        for q in range(8)
    ]
    pd.DataFrame(rows).to_parquet(folder / "lrm_token_economy.parquet")
    return folder


def test_the_gain_that_thinking_has_in_the_files_is_found(tmp_path: Path) -> None:
    # Difficulty .5 needs 300 * 20 ** .5 = 1,342 tokens as a rule: the puzzles take as many, mathematics twice that.
    learnt, found = learn(files(tmp_path, gain=0.9), lambda texts: [0.5] * len(texts))
    assert learnt.gains["trick"].learnt == pytest.approx(0.95, abs=0.15)  # one model may think of 4K tokens alone
    assert learnt.gains["trick"].units == sum(s.kind == "trick" for s in found) == 7
    assert learnt.gains["coding"].learnt < PRIORS["coding"].gain
    assert learnt.tokens["logic"].learnt == pytest.approx(1.0, abs=0.05)
    assert 1.7 < learnt.tokens["mathematics"].learnt <= 2.0
    assert "knowledge" not in learnt.tokens


def test_a_kind_without_a_study_keeps_its_prior() -> None:
    assert {kind: one.learnt for kind, one in gains([], {}).items()} == {
        kind: PRIORS[kind].gain for kind in PRIOR_ERROR
    }


def test_a_thin_study_moves_a_prior_less_than_a_sound_one() -> None:
    prior = PRIORS["trick"].gain
    thin, sound = (gains([study(0.0, error=error)], {})["trick"].learnt for error in (2.0, 0.05))
    assert prior > thin > 0.85 * prior
    assert sound < 0.35 * prior


def test_studies_that_differ_say_less_than_studies_that_agree() -> None:
    agree = gains([study(0.5, model=str(i)) for i in range(6)], {})["trick"]
    differ = gains([study(0.5 + 0.9 * (-1) ** i, model=str(i)) for i in range(6)], {})["trick"]
    assert differ.error > 1.5 * agree.error
    assert agree.error >= LEAST_TAU / 6**0.5 * 0.9  # never surer than models are alike


def test_a_study_between_two_allowances_counts_for_the_share_between_them() -> None:
    whole = study(0.6)
    half = replace(whole, bare_tokens=1250)
    assert gains([half], {})["trick"].learnt > gains([whole], {})["trick"].learnt


def test_a_model_is_foretold_by_the_others_alone() -> None:
    odd = [study(0.1, model=str(i)) for i in range(6)] + [study(1.5, model="odd")]
    row = next(row for row in held_out(odd, {}) if row["kind"] == "trick")
    alone = next(
        row for row in held_out([study(3.0, model="odd"), study(3.0, model="odd")], {}) if row["kind"] == "trick"
    )
    assert alone["learnt"] == alone["prior"]  # its own other study does not speak for it
    assert row["learnt"]["log_loss"] < row["prior"]["log_loss"]  # six of seven are foretold better
    assert row["none"]["bias"] < 0


def test_a_file_without_a_model_of_a_pair_is_refused_by_name(tmp_path: Path) -> None:
    folder = files(tmp_path, gain=0.5)
    pd.DataFrame({"model": ["x"], "pass_rate_2": [1.0]}).to_csv(folder / "aider_polyglot.csv", index=False)
    with pytest.raises(DataError, match="claude-3-7-sonnet"):
        studies(folder)


def test_the_command_writes_a_module_and_prints_the_proof(tmp_path: Path) -> None:
    folder, out = files(tmp_path, gain=0.9), tmp_path / "learnt.py"
    told = CliRunner().invoke(app, ["curves", "--data", str(folder), "--out", str(out), "--json"])
    assert told.exit_code == 0, told.output
    figures = json.loads(told.stdout)
    assert {row["kind"] for row in figures["held_out"]} == set(PRIOR_ERROR)
    written: dict[str, dict[str, float]] = {}
    exec(out.read_text(encoding="utf-8"), written)  # noqa: S102 - what the recipe wrote is a module
    assert written["GAINS"]["trick"] == pytest.approx(figures["gains"]["trick"]["learnt"], abs=0.005)
    plain = CliRunner().invoke(app, ["curves", "--data", str(folder)])
    assert "held out" in plain.output
    assert CliRunner().invoke(app, ["curves", "--data", str(tmp_path / "nowhere")]).exit_code == 2


@pytest.mark.skipif(not DATA.is_dir(), reason="the data directory is not beside the checkout")
def test_the_table_that_ships_is_what_the_recipe_learns() -> None:
    # The gains hang on the classifier by the tokens alone, and hardly: a new artefact need not rewrite the table.
    learnt, found = learn(DATA, lambda texts: [0.6] * len(texts))
    for kind, gain in shipped.GAINS.items():
        assert learnt.gains[kind].learnt == pytest.approx(gain, abs=0.1)
    assert {row["kind"] for row in held_out(found, learnt.tokens) if _better(row)} == set(PRIOR_ERROR)
    assert module_text(learnt).startswith('"""What results files say')
    assert all(study.weight == EXERCISES for study in found if study.source == "aider")


def _better(row: dict[str, dict[str, float]]) -> bool:
    return row["learnt"]["log_loss"] < min(row["prior"]["log_loss"], row["none"]["log_loss"])


def test_the_table_is_ruled_by_kind() -> None:
    fitted = gains([study(0.5)], {})
    text = module_text(Learnt(gains=fitted, tokens={}))
    assert '"trick": ' in text
    assert "1 studies" in text
