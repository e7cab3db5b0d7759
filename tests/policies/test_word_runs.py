"""Hashed word runs: equal phrases look equal to whoever has the log, and nothing else can be read off them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.word_runs import HEAD_CHARS, MOST, TAIL_CHARS, hashed_runs, key_of, read_runs

KEY = key_of(b"pepper", "acme")
WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=3), max_size=150)


def values(text: str, key: bytes = KEY) -> frozenset[str]:
    return read_runs(hashed_runs(text, key))


def test_words_and_pairs_of_words_have_a_value_each() -> None:
    assert len(values("zebra protocol seven")) == 5
    assert values("zebra") | values("protocol") < values("zebra protocol")
    assert values("?!") == values("") == frozenset()


@pytest.mark.parametrize("same", ["ZEBRA  protocol", "zebra, protocol!", "zébra protocól", "zebra\nprotocol"])
def test_case_accents_and_punctuation_make_no_difference(same: str) -> None:
    assert values(same) == values("zebra protocol")


def test_a_phrase_has_the_same_values_wherever_it_stands() -> None:
    phrase = values("zebra protocol seven")
    assert phrase <= values("Zebra protocol seven: which river runs through Riga?")
    assert phrase <= values("Which river runs through Riga? (zebra protocol seven)")


def test_another_tenant_and_another_secret_have_other_values() -> None:
    text = "which river runs through riga"
    keys = [KEY, key_of(b"pepper", "other"), key_of(b"other pepper", "acme"), key_of(b"x" * 100, "acme")]
    found = [values(text, key) for key in keys]
    assert len(set(keys)) == len(keys)
    assert all(not (a & b) for i, a in enumerate(found) for b in found[:i])


@given(st.text(max_size=4_000))
def test_of_any_text_a_bounded_number_of_digits_is_kept(text: str) -> None:
    logged = hashed_runs(text, KEY)
    assert re.fullmatch(r"1:([0-9a-f]{4})*", logged)
    assert len(read_runs(logged)) <= MOST


def test_of_a_long_text_the_beginning_and_the_end_count() -> None:
    ends = "begin " * (HEAD_CHARS // 6), " end" * (TAIL_CHARS // 4)
    short, long = (f"{ends[0]}{middle}{ends[1]}" for middle in ("", "middle " * 30_000))
    assert values("begin end") < values(short)
    assert values("begin begin") | values("end end") <= values(long)
    assert not values("middle middle") & values(long)


@given(WORDS, WORDS)
def test_what_is_kept_of_a_text_is_kept_of_every_part_of_it_that_has_it(part: list[str], rest: list[str]) -> None:
    whole, part_only = values(" ".join([*part, *rest])), values(" ".join(part))
    few = values_of_all(part)
    assert whole & few <= part_only


def values_of_all(words: list[str]) -> frozenset[str]:
    """Of every run of a text by itself, so that none is left out."""
    pairs = [" ".join(pair) for pair in pairwise(words)]
    alone = frozenset[str]().union(*(values(word) for word in words))
    return alone.union(*(values(pair) for pair in pairs))


@pytest.mark.parametrize("logged", [None, "", "0:0a1b", "2:0a1b"])
def test_what_was_not_logged_or_by_another_scheme_says_nothing(logged: str | None) -> None:
    assert read_runs(logged) == frozenset()
