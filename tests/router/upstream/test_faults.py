from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import (
    UpstreamCredentials,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamUnreachable,
)
from router.upstream import faults


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "999999"}, 3600.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"retry-after-ms": "nan"}, 0.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert faults.retry_after_s(headers) == seconds


def test_retry_after_may_be_a_date() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    seconds = faults.retry_after_s({"Retry-After": until})
    assert seconds is not None
    assert 90 < seconds <= 100


def test_an_account_without_credit_is_the_operators_affair_although_it_says_429() -> None:
    body = b'{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}'
    assert isinstance(faults.from_status(429, {}, body, "m"), UpstreamCredentials)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, UpstreamRateLimited),
        ({"code": 429, "message": "slow down"}, UpstreamRateLimited),
        ({"code": "429"}, UpstreamRateLimited),
        ({"status": "RESOURCE_EXHAUSTED", "code": "x"}, UpstreamRateLimited),
        ({"type": "invalid_request_error"}, UpstreamRejected),
        ({"code": 401}, UpstreamCredentials),
        ({"code": "99999999999999999999999"}, UpstreamError),
        ("it broke", UpstreamError),
        ([1], UpstreamError),
    ],
)
def test_an_error_object_in_a_stream_finds_its_class(error: object, kind: type[UpstreamError]) -> None:
    assert type(faults.from_event(error, "m")) is kind


def test_a_redirect_is_not_followed_and_says_what_to_set() -> None:
    error = faults.from_status(302, {"Location": "http://elsewhere"}, b"", "m")
    assert isinstance(error, UpstreamUnreachable)
    assert "api_base" in error.message


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdef0123456789",
        "sk-ant-api03-abcdefghij",
        "AIzaSyA1234567890abcdef",
        "gsk_abcdefgh12345678",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.e30.abc",
        "Bearer opaque-token-1",
    ],
)
def test_whatever_looks_like_a_key_is_struck_out_of_a_providers_words(key: str) -> None:
    body = b'{"error": {"message": "Incorrect key: ' + key.encode() + b' given", "param": "model"}}'
    error = faults.from_status(400, {}, body, "m")
    assert isinstance(error, UpstreamRejected)
    assert key not in error.message
    assert "Incorrect key: [key] given" in error.message
    assert error.param == "model"


@given(status=st.integers(300, 599), body=st.binary(max_size=300))
def test_no_answer_of_a_provider_is_beyond_classification(status: int, body: bytes) -> None:
    error = faults.from_status(status, {}, body, "m")
    assert isinstance(error, UpstreamError)
    assert error.upstream_status == status or isinstance(error, UpstreamUnreachable)
    assert len(error.message) < 600
