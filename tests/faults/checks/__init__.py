"""The checks, by subject; importing them registers them."""

from tests.faults.checks import access, answers, books, cache, hostile, outage, processes, windows

ALL = (access, answers, books, cache, hostile, outage, processes, windows)
