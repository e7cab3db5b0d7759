from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.results import made_up
from training.data import (
    DataError,
    Matrix,
    count_tokens,
    folds,
    question_ids,
    read_results,
    sample_prompts,
    sample_questions,
    to_matrix,
)

PRICES = "model,input_usd_per_million,output_usd_per_million,basis\ntiny-7b,1,2,x\nbig-70b,10,20,x\n"


def write(folder: Path, frame: pd.DataFrame, name: str = "results.parquet") -> Path:
    path = folder / name
    match path.suffix:
        case ".parquet":
            frame.to_parquet(path)
        case ".csv":
            frame.to_csv(path, index=False)
        case _:
            frame.to_json(path, orient="records", lines=True)
    return path


def matrix_of(folder: Path, frame: pd.DataFrame) -> Matrix:
    return to_matrix(read_results([write(folder, frame)]))


@pytest.mark.parametrize("name", ["results.csv", "results.jsonl"])
def test_every_kind_of_file_gives_the_same_matrix(tmp_path: Path, name: str):
    frame = made_up(30)
    one, two = matrix_of(tmp_path, frame), to_matrix(read_results([write(tmp_path, frame, name)]))
    assert list(one.prompts) == list(two.prompts)
    np.testing.assert_array_equal(one.score, two.score)
    np.testing.assert_allclose(one.usd, two.usd)
    np.testing.assert_allclose(one.tokens, two.tokens)


def test_prompts_that_look_like_numbers_or_nothing_stay_as_written(tmp_path: Path):
    frame = pd.DataFrame({"prompt": ["NA", "null", "007", "1e5"], "model": "m", "score": ["1", "", "0", "NA"]})
    for name in ("x.csv", "x.jsonl"):
        kept = frame if name == "x.csv" else frame.assign(score=[1.0, None, 0.0, None])
        assert list(to_matrix(read_results([write(tmp_path, kept, name)])).prompts) == ["NA", "007"]


def test_samples_are_averaged_and_weighted_by_their_number(tmp_path: Path):
    frame = pd.DataFrame(
        {
            "query_id": ["a", "a", "a", "b"],
            "prompt": ["x", "x", "x", "y"],
            "model": ["m", "m", "n", "m"],
            "score": [1.0, 0.0, 0.5, 1.0],
            "n_samples": [3, 1, None, None],
        }
    )
    matrix = matrix_of(tmp_path, frame)
    assert matrix.models == ("m", "n")
    np.testing.assert_allclose(matrix.score, [[0.75, 0.5], [1.0, np.nan]])
    np.testing.assert_allclose(matrix.means, [0.875, 0.5])
    assert matrix.complete.tolist() == [True, False]


def test_only_prompt_model_and_score_are_needed(tmp_path: Path):
    frame = made_up(10)[["prompt", "model", "score"]]
    matrix = matrix_of(tmp_path, frame)
    assert len(matrix) == 10
    assert set(matrix.sources) == {"results"}
    assert set(matrix.categories) == {"other"}
    assert np.isnan(matrix.tokens).all()


def test_ids_that_number_the_rows_do_not_tear_questions_apart(tmp_path: Path):
    frame = made_up(10).assign(query_id=[str(i) for i in range(20)])
    assert len(matrix_of(tmp_path, frame)) == 10


def test_questions_of_the_same_id_from_two_sources_stay_apart(tmp_path: Path):
    both = pd.concat([made_up(10, seed=1), made_up(10, seed=2)])
    assert len(matrix_of(tmp_path, both)) == 20


def test_several_files_become_one_matrix_with_gaps(tmp_path: Path):
    one = write(tmp_path, made_up(10, seed=1, models=("a-7b", "b-7b")), "one.parquet")
    two = write(tmp_path, made_up(10, seed=2, models=("b-7b", "c-7b")), "two.csv")
    matrix = to_matrix(read_results([one, two]))
    assert matrix.models == ("a-7b", "b-7b", "c-7b")
    assert np.isnan(matrix.score).sum() == 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="score"), "lacks score"),
        (lambda f: f.rename(columns={"prompt": "question"}), "lacks prompt"),
        (lambda f: f.assign(score=7.0), "bring them into 0..1"),
        (lambda f: f.assign(score="good"), "score holds something that is no number"),
        (lambda f: f.assign(prompt=[["a", "b"]] * len(f)), "prompt must hold plain text"),
        (lambda f: f.assign(score=np.nan), "no row with a prompt, a model and a score"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_its_remedy(tmp_path: Path, change, message: str):  # noqa: ANN001 - a lambda
    with pytest.raises(DataError, match=message):
        read_results([write(tmp_path, change(made_up(5)))])


def test_a_missing_an_unknown_and_a_broken_file_are_told_apart(tmp_path: Path):
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    (tmp_path / "x.txt").write_text("x")
    for name, message in (("none.csv", "is not a file"), ("x.txt", "use .parquet"), ("x.parquet", "cannot be read")):
        with pytest.raises(DataError, match=message):
            read_results([tmp_path / name])
    with pytest.raises(DataError, match="no data file"):
        read_results([])


def test_lines_that_are_no_objects_are_refused(tmp_path: Path):
    (tmp_path / "x.jsonl").write_text('{"prompt": "a", "model": "m", "score": 1}\n[1]\n')
    with pytest.raises(DataError, match="every line must be a JSON object"):
        read_results([tmp_path / "x.jsonl"])


def test_negative_tokens_and_costs_are_unknown_ones(tmp_path: Path):
    frame = made_up(5).assign(prompt_tokens=-3, completion_tokens=-1, cost_usd=-2)
    rows = read_results([write(tmp_path, frame)]).rows
    assert rows["completion_tokens"].isna().all()
    assert (rows["usd"] > 200 * 0.2 / 1e6).all()


def test_rows_without_a_score_are_left_out_and_counted(tmp_path: Path):
    frame = made_up(10)
    frame.loc[:2, "score"] = np.nan
    results = read_results([write(tmp_path, frame)])
    assert len(results.rows) == 17
    assert any("3 rows" in note for note in results.notes)


def test_costs_follow_from_the_price_list_beside_the_file(tmp_path: Path):
    (tmp_path / "prices.csv").write_text(PRICES)
    frame = pd.DataFrame(
        {
            "prompt": ["x" * 40, "y"],
            "model": ["tiny-7b", "big-70b"],
            "score": [1, 0],
            "prompt_tokens": [None, 1000],
            "completion_tokens": [100, None],
        }
    )
    results = read_results([write(tmp_path, frame)])
    assert results.notes == ()
    np.testing.assert_allclose(results.rows["usd"], [(10 * 1 + 100 * 2) / 1e6, (1000 * 10 + 200 * 20) / 1e6])


def test_a_price_list_can_be_named(tmp_path: Path):
    other = tmp_path / "elsewhere" / "mine.csv"
    other.parent.mkdir()
    other.write_text(PRICES)
    assert read_results([write(tmp_path, made_up(5))], prices=other).notes == ()


def test_an_unlisted_model_costs_what_its_rows_say_else_what_its_size_costs_and_a_note_says_so(tmp_path: Path):
    frame = pd.DataFrame(
        {"prompt": ["x"] * 3, "model": ["mystery", "nine-9b", "secret"], "score": [1, 1, 1], "cost_usd": [0.5, None, 0]}
    )
    results = read_results([write(tmp_path, frame)])
    usd = dict(zip(results.rows["model"], results.rows["usd"], strict=True))
    assert usd["mystery"] == 0.5
    assert usd["nine-9b"] == pytest.approx(201 * 0.2 / 1e6)
    assert usd["secret"] == pytest.approx(201 * 0.9 / 1e6)
    notes = " ".join(results.notes)
    assert "cost_usd was taken: mystery" in notes
    assert "size in the name: nine-9b" in notes
    assert "--prices): secret" in notes


@pytest.mark.parametrize("price", ["0", "-1", "nan", "free"])
def test_a_price_of_nothing_is_refused(tmp_path: Path, price: str):
    (tmp_path / "prices.csv").write_text(PRICES + f"gift,{price},1,x\n")
    with pytest.raises(DataError, match=r"price list cannot be used: .*gift"):
        read_results([write(tmp_path, made_up(5))])


@given(st.lists(st.integers(0, 8), min_size=10, max_size=60).filter(lambda q: len(set(q)) >= 5))
def test_a_question_is_never_in_two_folds(questions: list[int]):
    ids = np.array(questions)
    fold = folds(ids, 5)
    assert all(len(set(fold[ids == q])) == 1 for q in set(questions))
    assert set(fold) == set(range(5))


def test_too_few_questions_for_the_folds_are_refused():
    with pytest.raises(DataError, match="3 distinct questions cannot make 5 folds"):
        folds(np.array([0, 1, 2, 2, 2, 2]), 5)


@given(st.integers(0, 12))
def test_labels_are_drawn_by_question(count: int):
    ids = np.repeat(np.arange(10), 3)
    drawn = sample_questions(ids, count)
    assert len(set(ids[drawn])) == min(count, 10)
    assert drawn.sum() == 3 * min(count, 10)


def test_questions_are_equal_by_their_words():
    ids = question_ids(["What is 2+2?", "what is  2 + 2", "What is 2+3?", "👍", "👎"])
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_prompts_are_sampled_once_per_question(tmp_path: Path):
    matrix = matrix_of(tmp_path, made_up(20))
    assert len(set(sample_prompts(matrix, 12))) == 12
    assert len(sample_prompts(matrix, 500)) == 20


def test_a_model_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"no rows of the model nobody; the data has big-70b, tiny-7b"):
        matrix_of(tmp_path, made_up(5)).pick(["nobody"])


def test_an_empty_prompt_still_costs_a_token():
    assert count_tokens("") == 1
    assert count_tokens("x" * 41) == 11
    assert count_tokens("\ud800") == 1
