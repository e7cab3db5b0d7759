"""A port that cannot be had is one clear line, before anything is started."""

from __future__ import annotations

import socket

import pytest

from router.cli.door import open_door
from router.configuration.settings import ConfigError


def test_port_0_takes_a_free_one() -> None:
    with open_door("127.0.0.1", 0) as door, open_door("127.0.0.1", 0) as other:
        assert 0 < door.getsockname()[1] != other.getsockname()[1]
        assert door.get_inheritable()


def test_a_port_in_use_is_an_error_that_says_how_to_choose_another() -> None:
    with open_door("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port} \(Address already in use\).*--port"):
            open_door("127.0.0.1", port)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:8080"):
        open_door("192.0.2.1", 8080)


def test_an_address_of_six_works_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        door = open_door("::1", 0)
    except ConfigError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    with door:
        assert door.family is socket.AF_INET6
