"""A body becomes one object or an error, within bounds of bytes, time and parts."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from router.errors import BodyTooLarge, BodyTooSlow, InvalidJSON, Overloaded
from router.wire.body import (
    MAX_VALUES,
    ClientGone,
    Coming,
    _count_parts,  # pyright: ignore[reportPrivateUsage] - exact by itself, while its caller only compares
    parse_object,
    read_body,
)

JSON = {b"content-type": b"application/json"}
texts = st.text(st.sampled_from('a",:[{\\\n\u00e4'), max_size=8)
values = st.recursive(
    st.integers(-9, 9) | st.none() | st.booleans() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def parts_of(value: object) -> int:
    """Keys and values inside of a value, by walking it."""
    if isinstance(value, dict):
        return sum(2 + parts_of(inner) for inner in cast("dict[str, Any]", value).values()) or 1
    if isinstance(value, list):
        return sum(1 + parts_of(inner) for inner in cast("list[Any]", value)) or 1
    return 0


@given(st.dictionaries(texts, values, max_size=4), st.booleans())
def test_parts_are_counted_outside_of_strings_alone(content: dict[str, Any], ascii_only: bool) -> None:
    assert _count_parts(json.dumps(content, ensure_ascii=ascii_only).encode()) == parts_of(content)


@pytest.mark.parametrize("part", [b"1", b'""', b"[]", b"{}"], ids=["numbers", "texts", "lists", "objects"])
def test_a_body_of_too_many_parts_is_refused_before_it_is_parsed(part: bytes) -> None:
    def of(count: int) -> bytes:
        return b'{"a":[' + b",".join([part] * count) + b"]}"

    with pytest.raises(BodyTooLarge, match="keys and values"):
        parse_object(of(MAX_VALUES))
    fits = MAX_VALUES // 2 - 2
    assert len(parse_object(of(fits))["a"]) == fits


def test_a_long_text_full_of_signs_is_one_part() -> None:
    table = "1,2,3:[{" * MAX_VALUES
    assert parse_object(json.dumps({"a": table, "b": '\\"' * MAX_VALUES}).encode())["a"] == table


def test_keys_that_stand_twice_are_refused_however_deep() -> None:
    with pytest.raises(InvalidJSON, match="duplicate"):
        parse_object(b'{"a":[{"b":1,"b":2}]}')


class Sender:
    """A client that sends parts of a body, and then nothing any more or that it leaves."""

    def __init__(self, *parts: bytes, leaves: bool = False) -> None:
        self._messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        self._messages += [{"type": "http.disconnect"}] if leaves else []

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        return await asyncio.Future[Message]()


@pytest.mark.parametrize("parts", [(), (b"{",)], ids=["nothing of it", "the beginning of it"])
async def test_a_body_is_waited_for_no_longer_than_said(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(BodyTooSlow, match=r"0\.01 s"):
        await read_body(JSON, Sender(*parts).receive, max_bytes=100, timeout_s=0.01, coming=Coming(10_000))


@pytest.mark.parametrize("parts", [(b"x" * 101,), (b"x" * 60, b"x" * 60)], ids=["at once", "in parts"])
async def test_a_body_over_the_limit_is_refused_by_its_bytes(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(BodyTooLarge, match="100 bytes"):
        await read_body(JSON, Sender(*parts, b"x", b"x").receive, max_bytes=100, timeout_s=5, coming=Coming(10_000))


@pytest.mark.parametrize("parts", [(), (b"{",)], ids=["before it", "in the middle of it"])
async def test_a_client_that_leaves_is_not_waited_for(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(ClientGone):
        await read_body(JSON, Sender(*parts, leaves=True).receive, max_bytes=100, timeout_s=5, coming=Coming(10_000))


async def test_so_many_bytes_may_be_on_their_way_and_no_more() -> None:
    coming = Coming(250)
    waiting = [asyncio.create_task(_reading(Sender(b"x" * 100), coming)) for _ in range(2)]
    await asyncio.sleep(0)
    assert coming.held == 200
    with pytest.raises(Overloaded, match=r"server\.max_coming_bytes"):
        await _reading(Sender(b"x" * 40, b"x" * 40), coming)
    assert coming.held == 200
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert coming.held == 0


async def test_a_body_that_is_whole_or_too_long_or_left_gives_its_room_back() -> None:
    coming = Coming(1_000)
    for sender in (Sender(b"x" * 60, b"x" * 60), Sender(b"{", leaves=True), Sender(b"{")):
        with pytest.raises((BodyTooLarge, ClientGone, BodyTooSlow)):
            await _reading(sender, coming, timeout_s=0.01)
        assert coming.held == 0


async def _reading(sender: Sender, coming: Coming, timeout_s: float = 30) -> bytes:
    return await read_body(JSON, sender.receive, max_bytes=110, timeout_s=timeout_s, coming=coming)
