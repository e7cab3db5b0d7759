"""The gateway against its own description: whatever is drawn from it gets a documented answer, and no 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.testing import FakeUpstream, running_fake_upstream
from tests.contract.fuzzing import fuzz
from tests.gateway import Running, fake_settings, running

EXAMPLES = 4  # `python -m tests.faults --only 10` draws four hundred


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with running_fake_upstream() as fake:
        yield fake


@pytest.fixture(scope="module")
def gateway(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(fake_settings(upstream.openai_base, Path(tmp_path_factory.mktemp("described")))) as gateway:
        yield gateway


def test_requests_drawn_from_the_description_get_documented_answers_and_no_5xx(gateway: Running) -> None:
    found = fuzz(gateway.url, gateway.headers, examples=EXAMPLES)
    assert found.broken == []
    reached = {status for (label, status) in found.statuses if label == "POST /v1/chat/completions"}
    assert 200 in reached, "nothing that fits the description was answered: the generator has lost its way"
    assert 400 in reached
    assert found.requests > 4 * EXAMPLES
