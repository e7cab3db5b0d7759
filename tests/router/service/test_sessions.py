"""What is read of a request for its session, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from policies.session import Session
from router.service.sessions import (
    dump,
    entered,
    left,
    name_of,
)
from router.upstream.types import Usage

PEPPER = b"p" * 32
LONG = "Please find the bug in the parser, and mend it."


def request(*messages: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


def failures(*requests: dict[str, Any]) -> int:
    state = Session()
    for each in requests:
        state = entered(dump(state), 0, None, each)
    return state.failures


def test_a_session_is_named_by_the_client_or_by_how_its_conversation_begins() -> None:
    first = request(("system", "Be short."), ("user", LONG))
    later = request(("system", "Be short."), ("user", LONG), ("assistant", "Done."), ("user", "And now?"))
    other = request(("system", "Be long."), ("user", LONG))
    assert name_of(PEPPER, "k", None, first) == name_of(PEPPER, "k", None, later)
    assert name_of(PEPPER, "k", None, first) != name_of(PEPPER, "k", None, other)
    assert name_of(PEPPER, "k", None, first) != name_of(PEPPER, "l", None, first)
    assert name_of(PEPPER, "k", "s", first) == name_of(PEPPER, "l", "s", other) != name_of(PEPPER, "k", "t", first)


def test_the_same_turn_again_is_a_failure_and_another_turn_is_none() -> None:
    once, again = request(("user", LONG)), request(("user", LONG), ("assistant", "Done."), ("user", LONG))
    assert failures(once) == 0
    assert failures(once, again) == 1
    assert failures(once, again, again) == 2
    assert failures(once, again, request(("user", "Thank you, that is all I wanted."))) == 0


def test_a_short_turn_may_be_repeated() -> None:
    more = request(("user", LONG), ("assistant", "One."), ("user", "continue"))
    assert failures(more, more, more) == 0


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        ("Error: no such file", True),
        ("Traceback (most recent call last): ...", True),
        ('{"error": "not found"}', True),
        ('{"isError": true, "content": []}', True),
        ('{"error": null, "rows": 3}', False),
        ("{half of an object", False),
        ("errors: 0", False),
        ("42 rows", False),
    ],
)
def test_a_tool_s_error_is_a_failure_and_its_success_ends_the_row(result: str, failed: bool) -> None:
    step = request(("user", LONG), ("assistant", ""), ("tool", result))
    assert failures(step, step) == (2 if failed else 0)
    assert failures(step, request(("user", LONG), ("assistant", ""), ("tool", "fine"))) == 0


def test_what_is_kept_comes_back() -> None:
    usage = Usage(input=5_000, cached_read=0, output=900, reasoning=890)
    kept = left(Session(asked="q", failures=1), "large", usage, "length", 100.0)
    state = entered(kept, 7, 9, request(("user", "hm"), ("assistant", "x")))
    assert (state.model, state.cached_at(101.0), state.failures) == ("large", {"large": 5_000}, 2)
    assert (state.spent_nano, state.budget_nano, state.left_nano) == (7, 9, 2)
