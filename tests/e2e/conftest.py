"""The gateway that a newcomer gets, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import Process, serving


@pytest.fixture(scope="module")
def local_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """What a newcomer gets: no keys, no Redis, the bundled model."""
    with serving(tmp_path_factory.mktemp("newcomer"), stop_s=30) as gateway:
        yield gateway
