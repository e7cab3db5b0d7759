from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from router.errors import UpstreamRejected
from router.testing import FakeUpstream
from router.upstream.client import UpstreamClient
from router.upstream.types import UpstreamModel
from tests.router.upstream.models import KINDS, call, model
from tests.router.upstream.recorder import Recorder

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _messages(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "https://in.a.text is fine"}, part]}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "part",
    [
        _image("http://169.254.169.254/latest/meta-data"),
        _image("HTTP://127.0.0.1/x.png"),
        _image("file:///etc/passwd"),
        {"type": "image_url", "image_url": "http://127.0.0.1/x.png"},
        {"type": "file", "file": {"file_id": "https://127.0.0.1/x.pdf"}},
        {"type": "file", "file": {"file_id": "www.example.com/x.pdf"}},
        {"type": "video_url", "video_url": {"url": "https://127.0.0.1/x.mp4"}},
    ],
)
async def test_a_url_that_somebody_here_would_fetch_is_refused(kind: str, part: dict[str, Any]) -> None:
    async with FakeUpstream() as fake, UpstreamClient() as client:
        with pytest.raises(UpstreamRejected, match="data: URL") as caught:
            await client.complete(call(model(fake, kind), messages=_messages(part)))
        assert caught.value.param == "messages"
        assert fake.received == []


async def test_gemini_is_sent_no_url_at_all_as_litellm_would_fetch_it() -> None:
    async with Recorder() as recorder, UpstreamClient() as client:
        upstream = UpstreamModel(name="gemini/gemini-2.5-flash", api_base=recorder.url)
        with pytest.raises(UpstreamRejected, match="data: URL"):
            await client.complete(call(upstream, messages=_messages(_image("https://127.0.0.1/x.png"))))
        assert recorder.requests == []


@pytest.mark.parametrize("kind", KINDS)
async def test_content_itself_goes_on(kind: str) -> None:
    async with FakeUpstream() as fake, UpstreamClient() as client:
        await client.complete(call(model(fake, kind), messages=_messages(_image(PIXEL))))
        assert PIXEL.rpartition(",")[2].encode() in fake.received[0].raw
