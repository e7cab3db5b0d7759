"""Which questions ask the same: what may differ, and what may not."""

from __future__ import annotations

import hmac

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classifier.sameness import MAX_CHARS, REACH, Reader, distance, same, shipped_reader, unpacked

SECRET = b"s" * 32


@pytest.fixture(scope="module")
def reader() -> Reader:
    return shipped_reader(SECRET)


def alike(reader: Reader, one: str, other: str) -> bool:
    first, second = reader.read(one), reader.read(other)
    assert first is not None
    assert second is not None
    assert same(first, second) == same(second, first)
    return same(first, second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the capital of France?", "what's the capital of france"),
        ("What is the capital of France?", "Hello! Could you please tell me what is the capital of France? Thanks!"),
        ("How do I merge two lists in Python?", "how to merge 2 lists in python"),
        ("Explain the effect of caffeine.", "Explain the effects of caffeine."),
        ("Which theatre is the oldest?", "Which theater is the oldest?"),
        ("Explain the goverment of Canada", "Explain the government of Canada."),
        ("It broke becuase of rust", "It broke because of rust"),
        ("I can't sleep, why?", "I cannot sleep. Why?"),
        ("I can\u2019t sleep, why?", "I cannot sleep. Why?"),
        ("I'd like to know why the sky is blue", "Tell me why the sky is blue"),
        ("Calculate (2+3)*4", "please calculate (2 + 3) * 4."),
    ],
)
def test_courtesies_case_spelling_endings_and_slips_change_nothing(reader: Reader, one: str, other: str) -> None:
    assert alike(reader, one, other) is True


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is it safe to mix them?", "Is it not safe to mix them?"),
        ("Is it safe to fly?", "Isn't it safe to fly?"),
        ("Convert 100 USD to EUR", "Convert 1000 USD to EUR"),
        ("Convert 100 USD to EUR", "Convert 100 EUR to USD"),
        ("Recommend three books", "Recommend four books"),
        ("Who wrote about Hansen?", "Who wrote about Jansen?"),
        ("who is hansen", "who is jansen"),
        ("Tell me about Austria", "Tell me about Australia"),
        ("How do plants absorb water?", "How do plants adsorb water?"),
        ("What is 5!", "What is 5"),
        ("Is my freind right", "Is my friend right"),
        ("Who led the overnment", "Who led the government"),
        ("Who led the goverxment", "Who led the government"),
        ("What is an opportunitie here", "What is an opportunities here"),
        ("My goverment\nand yours", "My government\nand yours"),
        ("Calculate (2+3)*4", "Calculate 2+3*4"),
        ("What is f'(x)", "What is f(x)"),
        ("Is .5 small", "Is 5 small"),
        ("How do you say thank you in French?", "How do you say please in French?"),
        ("French for please", "French for thanks"),
        ("Correct the spelling of recieve", "Correct the spelling of receive"),
        ("Is the mushroom harmful?", "Is the mushroom harmless?"),
        ("What is an IT department?", "What is it, a department?"),
        ("What is the duty of the president?", "What is the duty of the presidency?"),
        ("Does the employer pay?", "Does the employee pay?"),
        ("What is a learning machine?", "What is machine learning?"),
        ("What is X?", "What is X about?"),
    ],
)
def test_numbers_negations_names_order_and_letters_change_the_question(reader: Reader, one: str, other: str) -> None:
    assert alike(reader, one, other) is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "?!",
        "x" * (MAX_CHARS + 1),
        "draw\n   #  #\n  ####\n",
        "def f():\n    return 1",
        "a    b\nc",
        "word " * 301,
    ],
)
def test_what_is_empty_long_or_laid_out_in_space_is_no_question_in_words(reader: Reader, text: str) -> None:
    assert reader.read(text) is None


def test_two_words_that_differ_are_two_questions_however_close_they_lie(reader: Reader) -> None:
    assert alike(reader, "Explain the effect of the vitamin", "Explain the effects of the vitamin")
    assert not alike(reader, "Explain the effect of the comment", "Explain the effects of the comments")


def test_a_variant_beyond_reach_is_another_question(reader: Reader) -> None:
    one, other = reader.read("Explain the effect"), reader.read("Explain the effects")
    assert one is not None
    assert other is not None
    apart = distance(one, other)
    assert 0 < apart < REACH
    assert same(one, other, reach=apart)
    assert not same(one, other, reach=np.nextafter(np.float32(apart), 0))


def test_words_are_kept_as_hashes_by_the_secret(reader: Reader) -> None:
    one, other = reader.read("Explain secret things"), shipped_reader(b"t" * 32).read("Explain secret things")
    assert one is not None
    assert other is not None
    assert b"secret" not in one.packed()
    assert set(one.marks).isdisjoint(other.marks)
    assert any(one.stems)
    assert not (set(one.stems) & set(other.stems)) - {b""}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_read_the_same_after_it_was_kept(reader: Reader, text: str, other: str) -> None:
    asked = reader.read(text)
    if asked is None:
        return
    assert same(asked, asked)
    again = unpacked(asked.vector.tobytes(), asked.packed())
    assert (again.marks, again.stems) == (asked.marks, asked.stems)
    assert np.array_equal(again.vector, asked.vector)
    another = reader.read(other)
    assert another is None or same(again, another) == same(asked, another)


@pytest.mark.parametrize("word", ["harmless", "employee", "possible", "readable", "cats", "b2b12", "zzyzx", "größe"])
def test_words_that_are_short_or_have_an_opposite_or_are_unknown_have_no_variants(reader: Reader, word: str) -> None:
    asked = reader.read(f"Explain {word} to us")
    assert asked is not None
    assert [bool(stem) for stem in asked.stems] == [True, False, False, False]


def test_a_capital_makes_a_name_but_for_the_first_word_of_a_sentence(reader: Reader) -> None:
    for text, named in (
        ("Explain the Effects", True),
        ("Effects are what?", False),
        ("It works. Effects are what?", False),
        ("It works! Effects are what?", False),
    ):
        asked, plain = reader.read(text), reader.read(text.lower())
        assert asked is not None
        assert plain is not None
        assert (asked.stems != plain.stems) is named


def test_a_question_of_the_most_letters_is_read(reader: Reader) -> None:
    asked = reader.read(("abcdefghi " * MAX_CHARS)[:MAX_CHARS])
    assert asked is not None
    assert (len(asked.vector), asked.vector.dtype) == (reader.dimensions, np.float32)


def test_marks_stay_what_they_were_because_the_store_keeps_them(reader: Reader) -> None:
    asked = reader.read("Explain vitamin")
    assert asked is not None
    assert asked.marks == tuple(hmac.digest(SECRET, word, "sha256")[:6] for word in (b"wordexplain", b"wordvitamin"))


def test_names_have_no_variants_and_are_not_mended(reader: Reader) -> None:
    asked = reader.read("Explain what Effects wrote")
    plain = reader.read("Explain what effects wrote")
    assert asked is not None
    assert plain is not None
    assert (asked.stems[2], bool(plain.stems[2])) == (b"", True)
    assert asked.marks == plain.marks
    assert not alike(reader, "Tell us what Goverment wrote", "Tell us what government wrote")
