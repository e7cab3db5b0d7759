"""Who may be answered by what was said to a question in other words: over settings and turns of the test's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from router.service.semantics import Semantics, may_be_asked

if TYPE_CHECKING:
    from router.configuration.settings import Settings
    from router.service.turn import Turn


def settings(semantic: str, *tenants: str | None) -> Settings:
    made = SimpleNamespace(
        cache=SimpleNamespace(semantic=semantic), tenants=[SimpleNamespace(semantic_cache=mode) for mode in tenants]
    )
    return cast("Settings", made)


@pytest.mark.parametrize("tenants", [(), (None,), ("off",), ("off", None)])
def test_where_everybody_says_off_nobody_may_ask(tenants: tuple[str | None, ...]) -> None:
    assert may_be_asked(settings("off", *tenants)) is False


@pytest.mark.parametrize("mode", ["ask", "on"])
def test_one_who_says_otherwise_is_enough(mode: str) -> None:
    assert may_be_asked(settings(mode)) is True
    assert may_be_asked(settings(mode, "off")) is True
    assert may_be_asked(settings("off", None, mode)) is True


@pytest.mark.parametrize(
    ("mode", "said"), [("off", "semantic"), ("off", None), ("on", "exact"), ("ask", "exact"), ("ask", None)]
)
def test_a_question_that_nobody_wants_compared_is_not_even_read(mode: str, said: str | None) -> None:
    unread = cast("Turn", SimpleNamespace(extensions=SimpleNamespace(cache=said)))
    assert Semantics(b"p" * 32).question(unread, mode, "") is None
