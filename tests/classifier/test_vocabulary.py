"""Words find their rows: whole, repaired, in pieces, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier import load_default
from classifier.vocabulary import MEMO_WORDS, Vocabulary, one_edit_apart, repair_table, variants

TOKENS = ["the", "electron", "house", "al", "##ken", "##e", "x", "##y", "##z", "##q", "##w", "##v"]
letters = st.text(alphabet="abcde", min_size=1, max_size=8).map(str.encode)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(TOKENS, *repair_table(TOKENS, words=100))


def names(vocabulary: Vocabulary, word: str) -> list[str]:
    return [vocabulary.tokens[row] for row in vocabulary.rows(word.encode())]


def test_a_known_word_is_one_row(vocabulary: Vocabulary) -> None:
    assert names(vocabulary, "house") == ["house"]


@pytest.mark.parametrize("slip", ["electrn", "elecctron", "elextron", "eelctron"])
def test_a_typing_slip_in_a_frequent_word_is_mended(vocabulary: Vocabulary, slip: str) -> None:
    assert names(vocabulary, slip) == ["electron"]


def test_a_rare_word_is_split_into_pieces(vocabulary: Vocabulary) -> None:
    assert names(vocabulary, "alkene") == ["al", "##ken", "##e"]


@pytest.mark.parametrize("noise", ["xyzqwv", "x" * 5000, "Ω"])
def test_noise_has_no_row(vocabulary: Vocabulary, noise: str) -> None:
    assert names(vocabulary, noise) == []


def test_invented_words_cannot_grow_the_memo_without_bound(vocabulary: Vocabulary) -> None:
    for number in range(MEMO_WORDS + 10):
        vocabulary.rows(f"w{number}".encode())
    assert len(vocabulary._memo) <= MEMO_WORDS


def test_looking_up_many_words_equals_looking_up_each() -> None:
    vocabulary = load_default().inputs.vocabulary
    words = [b"the", b"elecctron", b"stoichiometry", b"qxzvkjw", b"42"]
    each = [row for word in words for row in vocabulary.rows(word)]
    assert vocabulary.look_up(words).tolist() == each


@given(letters, letters)
def test_being_one_edit_apart_is_symmetric_and_implies_a_shared_deletion(a: bytes, b: bytes) -> None:
    assert one_edit_apart(a, b) == one_edit_apart(b, a)
    if one_edit_apart(a, b):
        assert variants(a) & variants(b)


@given(letters, st.integers(0, 7))
def test_leaving_a_letter_out_is_one_edit(word: bytes, place: int) -> None:
    assert one_edit_apart(word, word[:place] + word[place + 1 :])


def test_the_repair_table_is_sorted_for_binary_search() -> None:
    hashes, owners = repair_table(TOKENS, words=100)
    assert (np.diff(hashes.astype(np.int64)) >= 0).all()
    assert set(owners.tolist()) == {TOKENS.index("electron"), TOKENS.index("house")}
