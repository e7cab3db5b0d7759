from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.overlap import TEMPLATE_COUNT, normalise, overlapping, stem

LONG = "A train leaves the old station at nine and travels north for three hours before it stops"


def test_nine_words_in_a_row_are_an_overlap_and_eight_are_not():
    words = LONG.split()
    nine, eight = " ".join(["so", *words[2:11], "end"]), " ".join(["so", *words[2:10], "end"])
    assert overlapping([nine], [LONG]).tolist() == [True]
    assert overlapping([eight], [LONG]).tolist() == [False]


def test_case_punctuation_and_spaces_do_not_hide_an_overlap():
    assert overlapping([LONG.upper().replace(" ", ",  ")], [LONG]).tolist() == [True]


def test_the_same_question_with_other_options_is_an_overlap():
    one = "What is the capital of France?\nA. Paris\nB. Rome\nAnswer:"
    two = "What is the capital of France?\nA. Lyon\nB. Paris\nC. Nice\nD. Lille"
    assert overlapping([one], [two]).tolist() == [True]
    assert stem(one) == stem(two) == "what is the capital of france"


def test_short_stems_say_nothing_without_their_options():
    assert overlapping(["Which?\nA. red\nB. blue"], ["Which?\nA. cat\nB. dog"]).tolist() == [False]


def test_short_questions_overlap_when_they_are_equal():
    assert overlapping(["What is 2+2?", "What is 2+3?"], ["what is 2 + 2"]).tolist() == [True, False]


def test_a_template_that_many_questions_share_is_no_overlap():
    template = "You are given a function and must say what it returns for the input"
    many = [f"{template} {i} {i * 7}" for i in range(TEMPLATE_COUNT + 1)]
    assert not overlapping([f"{template} x"], many).any()
    assert overlapping([f"{template} x"], many[:3]).all()


def test_nothing_overlaps_with_nothing():
    assert overlapping([], ["x"]).tolist() == []
    assert overlapping(["x"], []).tolist() == [False]


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6), st.lists(st.text(max_size=80), max_size=6))
def test_overlap_is_mutual_and_every_text_overlaps_with_itself(some: list[str], others: list[str]):
    assert overlapping(some, some).all()
    assert overlapping(some, others).any() == overlapping(others, some).any()


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str):
    assert normalise(normalise(text)) == normalise(text)
