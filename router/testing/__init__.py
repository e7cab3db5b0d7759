"""A provider for tests: real HTTP on loopback, its own books, faults on command. No model is called."""

from router.testing.fake_upstream import FakeUpstream, Received
from router.testing.script import Answer, Fault
from router.testing.threaded import running_fake_upstream

__all__ = ["Answer", "FakeUpstream", "Fault", "Received", "running_fake_upstream"]
