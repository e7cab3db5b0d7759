"""What a gateway takes of its process while it is open, and gives back."""

from __future__ import annotations

import gc
from pathlib import Path

from router.gateway import GC_THRESHOLD
from router.testing import FakeUpstream
from tests.gateway import fake_settings, running
from tests.serving import until


async def test_a_gateway_that_has_ended_leaves_the_collector_as_it_was(tmp_path: Path) -> None:
    before = gc.get_threshold()
    async with FakeUpstream() as upstream:
        with running(fake_settings(upstream.openai_base, tmp_path)):
            until(lambda: gc.get_threshold()[0] == GC_THRESHOLD, "the collector's rest")
            assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before
