"""The gateway: everything that a request needs and that does I/O."""

__version__ = "0.1.0"
