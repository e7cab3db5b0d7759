"""The socket that `rung serve` listens on, bound before anything else is started: a taken port costs nothing."""

from __future__ import annotations

import socket

from router.configuration.settings import ConfigError


def open_door(host: str, port: int) -> socket.socket:
    """A bound socket, which worker processes inherit; port 0 takes a free one.

    Raises:
        ConfigError: the address cannot be had.
    """
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
        door.listen()  # two may bind one port as long as none of them listens
    except OSError as error:
        door.close()
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another with --port (make run PORT=8081),"
            " RUNG_SERVER__PORT or server.port; --port 0 takes a free one"
        ) from None
    door.set_inheritable(True)
    return door
