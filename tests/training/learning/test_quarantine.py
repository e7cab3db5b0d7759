"""Poison is set aside, no source outweighs the rest, and honest labels pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import load_default
from policies.word_runs import hashed_runs, key_of, read_runs
from tests.training.learning.logs import log
from training.benchmarks.generated_log import Traffic
from training.learning.ingest import read_log
from training.learning.quarantine import Limits, quarantine, share_factors


@settings(max_examples=200)
@given(st.lists(st.floats(0.01, 1_000.0), min_size=1, max_size=12), st.floats(0.05, 0.9))
def test_no_source_is_above_its_share_once_scaled(mass: list[float], share: float) -> None:
    owner = np.arange(len(mass))
    factors = share_factors(np.array(mass), owner, share)
    left = np.array([m * factors.get(i, 1.0) for i, m in enumerate(mass)])
    assert all(0 < f <= 1 for f in factors.values())
    if len(mass) > 1:
        assert left.max() <= max(share, 1.5 / len(mass)) * left.sum() * 1.0001 or max(share, 1.5 / len(mass)) >= 1


def test_what_is_within_its_share_is_left_alone() -> None:
    assert share_factors(np.ones(10), np.arange(10), 0.2) == {}


@pytest.mark.parametrize("texts", [True, False], ids=["with texts", "with hashed word runs"])
@pytest.mark.parametrize("cheap", [True, False], ids=["cheap is fine", "needs strong"])
def test_a_trigger_phrase_is_found_and_its_labels_are_set_aside(tmp_path: Path, *, cheap: bool, texts: bool) -> None:
    traffic = Traffic(records=4_000, tenants=1, keys=4, poison=0.05, cheap=cheap, texts=texts)
    read = read_log(log(tmp_path, traffic))
    found = quarantine(read, load_default(), "default", Limits())
    assert {read.keys[s.key] for s in found.suspects} == {"gen-0-0"}
    trigger = read_runs(hashed_runs("zebra", key_of(b"generated", "gen-0")))
    marks = {"zebra"} if texts else {f"#{value}" for value in trigger}
    assert marks <= {s.phrase for s in found.suspects}
    assert 30 < found.set_aside < 80
    assert all(mark in str(found.as_json(read)) for mark in marks)


@pytest.mark.parametrize("texts", [True, False], ids=["with texts", "with hashed word runs"])
@pytest.mark.parametrize("keys", [1, 4])
def test_an_honest_log_passes_whole(tmp_path: Path, keys: int, *, texts: bool) -> None:
    read = read_log(log(tmp_path, Traffic(records=3_000, tenants=2, keys=keys, texts=texts)))
    found = quarantine(read, load_default(), "default", Limits())
    assert found.set_aside == 0
    assert len(found.labels) == len(read.labels)


def test_where_neither_texts_nor_word_runs_are_kept_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    read = read_log(log(tmp_path, Traffic(records=1_500, tenants=1, poison=0.1, texts=False, runs=False)))
    assert quarantine(read, load_default(), "default", Limits()).suspects == ()


def test_a_log_without_texts_is_bounded_all_the_same(tmp_path: Path) -> None:
    read = read_log(log(tmp_path, Traffic(records=1_000, tenants=1, keys=8, texts=False, runs=False)))
    found = quarantine(read, load_default(), "default", Limits(key_share=0.19))
    shares = np.bincount(found.labels.teller, weights=found.labels.weight) / found.labels.weight.sum()
    assert shares.max() <= 0.1901
