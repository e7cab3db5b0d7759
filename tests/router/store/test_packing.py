"""Receipts are small in the store, come back as they were, and older ones are still read."""

from __future__ import annotations

import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.store.packing import DICTIONARY, pack, unpack
from tests.router.decision_log.records import record

# Of the dictionary that receipts in stores were packed with: another one makes them unreadable, so add, never change.
CHECKSUM = 2321113296


@given(st.binary(max_size=5_000), st.binary(max_size=900))
def test_a_receipt_comes_back_with_what_follows_it(receipt: bytes, attachment: bytes) -> None:
    assert unpack(pack(receipt) + attachment) == (receipt, attachment)


@given(st.binary(max_size=5_000))
def test_receipts_of_before_the_dictionary_are_read(receipt: bytes) -> None:
    assert unpack(zlib.compress(receipt, 1) + b"after") == (receipt, b"after")


def test_a_dictionary_that_was_used_never_changes() -> None:
    assert zlib.adler32(DICTIONARY) == CHECKSUM
    with pytest.raises(zlib.error):
        zlib.decompressobj(zdict=DICTIONARY[1:]).decompress(pack(b"receipt"))


def test_a_record_takes_less_than_half_of_what_it_takes_without_the_dictionary() -> None:
    plain = orjson.dumps(record(1))
    assert len(pack(plain)) < len(zlib.compress(plain, 9)) / 2
