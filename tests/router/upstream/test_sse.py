from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.upstream import sse
from router.upstream.sse import EventReader, EventTooLargeError

PAYLOADS = [b'{"text":"na\xc3\xafve"}', b"{}", '{"text":"日本 🎉"}'.encode(), b"[DONE]"]


def _read(stream: bytes, cuts: list[int]) -> list[bytes]:
    reader = EventReader()
    found: list[bytes] = []
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        found += reader.feed(stream[start:end])
    rest = reader.close()
    return found if rest is None else [*found, rest]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_single_split_gives_the_same_events(newline: bytes) -> None:
    stream = b"".join(b"data: " + payload + newline * 2 for payload in PAYLOADS)
    for cut in range(len(stream) + 1):
        assert _read(stream, [cut]) == PAYLOADS, cut


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_bytes_one_by_one_give_the_same_events(newline: bytes) -> None:
    stream = b"".join(b"data:" + payload + newline * 2 for payload in PAYLOADS)
    assert _read(stream, list(range(len(stream)))) == PAYLOADS


_LINE_END = st.sampled_from([b"\n", b"\r\n", b"\r"])
_TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(data=st.data(), texts=st.lists(_TEXT, min_size=1, max_size=6), end=_LINE_END)
def test_any_splits_of_any_text_with_comments_between_give_the_same_events(
    data: st.DataObject, texts: list[str], end: bytes
) -> None:
    payloads = [text.encode() for text in texts]
    events = [b": ping" + end + b"event: x" + end + b"data: " + payload + end * 2 for payload in payloads]
    stream = b"".join(events)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    assert _read(stream, cuts) == payloads


def test_several_data_lines_are_one_payload() -> None:
    assert EventReader().feed(b"data: a\ndata:b\n\n") == [b"a\nb"]


def test_comments_alone_are_no_event() -> None:
    assert EventReader().feed(b": OPENROUTER PROCESSING\n\n") == []


def test_an_event_that_does_not_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1_000)
    reader = EventReader()
    reader.feed(b"data: " + b"x" * 900)
    with pytest.raises(EventTooLargeError):
        reader.feed(b"x" * 200)
