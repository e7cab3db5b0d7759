"""Which token counts, and what a principal may use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.auth import MAX_TOKEN_BYTES, allowed_models, presented_token, require_model
from router.errors import Forbidden, InvalidKey
from router.store import Key, Principal, Tenant

TOKEN = b"rk_id_secret"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer " + TOKEN)],
        [(b"authorization", b"bearer   " + TOKEN + b"  ")],
        [(b"x-api-key", TOKEN)],
        [(b"x-api-key", TOKEN), (b"authorization", b"Bearer " + TOKEN)],
    ],
    ids=["bearer", "odd case and spaces", "x-api-key", "both alike"],
)
def test_one_token_is_taken_from_either_header(headers: list[tuple[bytes, bytes]]) -> None:
    assert presented_token(headers) == TOKEN.decode()


def test_the_longest_token_that_is_read_is_read() -> None:
    longest = b"x" * MAX_TOKEN_BYTES
    assert presented_token([(b"authorization", b"Bearer " + longest)]) == longest.decode()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", TOKEN)],
        [(b"authorization", b"Basic " + TOKEN)],
        [(b"x-api-key", b"")],
        [(b"x-api-key", TOKEN), (b"x-api-key", TOKEN)],
        [(b"authorization", b"Bearer a"), (b"x-api-key", b"b")],
        [(b"authorization", b"Bearer " + b"x" * (MAX_TOKEN_BYTES + 1))],
        [(b"authorization", b"Bearer \xc3\xbc")],
    ],
)
def test_none_several_or_impossible_tokens_open_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidKey):
        presented_token(headers)


@given(st.lists(st.tuples(st.sampled_from([b"authorization", b"x-api-key", b"cookie"]), st.binary(max_size=40))))
def test_any_headers_give_a_plain_token_or_a_refusal(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        token = presented_token(headers)
    except InvalidKey:
        return
    assert token
    assert token.isascii()


def principal(**of_key: Any) -> Principal:
    """Who may use what their tenant may, a and b, but for what the key says."""
    tenant = Tenant(id="acme", models=frozenset({"a", "b"}))
    return Principal(tenant=tenant, key=Key(id="k", tenant="acme", mac="", **of_key), organisation=None)


def test_a_model_that_a_key_may_not_use_is_refused_with_those_that_it_may() -> None:
    known = dict.fromkeys("abc")
    require_model(principal(), "a", known)
    with pytest.raises(Forbidden, match="`c`; it may use: a, b") as caught:
        require_model(principal(), "c", known)
    assert caught.value.param == "model"
    with pytest.raises(Forbidden, match="it may use: none"):
        require_model(principal(deny=frozenset("ab")), "a", known)
    assert allowed_models(principal(deny=frozenset("a")), known) == {"b"}


def test_who_is_held_to_no_list_may_use_the_whole_catalogue_but_for_what_its_key_is_denied() -> None:
    tenant, known = Tenant(id="acme"), dict.fromkeys("abc")
    free = Principal(tenant=tenant, key=Key(id="k", tenant="acme", mac=""))
    assert allowed_models(free, known) is None
    denied = Principal(tenant=tenant, key=Key(id="k", tenant="acme", mac="", deny=frozenset("a")))
    assert allowed_models(denied, known) == {"b", "c"}
    below = Principal(tenant=tenant, key=free.key, organisation=Tenant(id="org", models=frozenset("a")))
    assert allowed_models(below, known) == {"a"}
