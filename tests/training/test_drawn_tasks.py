"""Tasks drawn by size: the same for the same seed, harder the longer they are, and none of them trivial."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from training.drawn_tasks import FORMS, Draw, Task, drawn
from training.overlap import normalise
from training.own_prompts import rated, sized, trivial
from training.tasks import KINDS, LEVELS

Form = Callable[[Draw], Task]
GROWING = {"_story", "_houses", "_maze", "_trace", "_order"}


def test_equal_seeds_draw_equal_tasks_and_others_draw_others() -> None:
    assert drawn(3, 2) == drawn(3, 2)
    assert drawn(3, 2) != drawn(4, 2)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_draws_tasks_of_known_kind_within_the_classes(form: Form) -> None:
    tasks = [form(Draw(seed)) for seed in range(60)]
    assert all(1.0 <= task.difficulty <= 6.0 for task in tasks)
    assert {task.kind for task in tasks} <= set(KINDS)
    assert len({task.prompt for task in tasks}) > 40
    assert not any("{" in task.prompt for task in tasks)


@pytest.mark.parametrize("form", [form for form in FORMS if form.__name__ in GROWING], ids=lambda form: form.__name__)
def test_a_longer_task_of_one_form_is_a_harder_one(form: Form) -> None:
    tasks = [form(Draw(seed)) for seed in range(80)]
    lengths, classes = [len(task.prompt) for task in tasks], [task.difficulty for task in tasks]
    assert np.corrcoef(lengths, classes)[0, 1] > 0.5


def test_no_task_or_rated_prompt_is_one_that_triviality_is_tested_on() -> None:
    tested = set(map(normalise, trivial("test")))
    assert not tested & set(map(normalise, (*sized(0).prompts, *rated().prompts)))


def test_a_class_between_two_lies_between_them_at_every_level() -> None:
    tasks = drawn(0, 120)
    levels = sized(0).levels
    order = np.argsort([task.difficulty for task in tasks], kind="stable")
    assert levels.shape == (len(tasks), len(LEVELS))
    assert (np.diff(levels[order], axis=0) <= 1e-12).all()


def test_rated_prompts_have_their_line_breaks() -> None:
    prompts = rated().prompts
    assert any("\n" in prompt for prompt in prompts)
    assert not any("\\n" in prompt for prompt in prompts)
