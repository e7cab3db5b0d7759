"""What a message may carry or point to: public URLs and inline base64, nothing inside of a private network."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import unicodedata
from urllib.parse import urlsplit

# IPv4 addresses in IPv6's clothes (RFC 6052): a network with NAT64 leads to the address itself.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def public_url(url: str) -> str:
    """Only what a provider may fetch: https, http to a public name, or inline data. Raises ValueError."""
    if url.startswith("data:"):
        return _inline_data(url)
    # Readers differ on these: some strip them or end there, and to a browser a backslash is a slash.
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("must not hold a space, a backslash or a control character; write it as %20, %5C ...")
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("must be an https: or http: URL, or data: with base64")
    # As a browser reads it: full-width letters and an ideographic full stop are ASCII's.
    host = unicodedata.normalize("NFKC", parts.hostname).replace("\u3002", ".").rstrip(".").lower()
    if host == "localhost" or host.endswith((".localhost", ".internal", ".local")) or _is_private(host):
        raise ValueError("must not point into a private network")
    return url


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name; one that ends in a number is an address in disguise (WHATWG URL, "ends in a number")
        last = host.rpartition(".")[2]
        return last.isdigit() or last.startswith("0x")
    if address in _NAT64:
        address = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return not address.is_global


def _inline_data(url: str) -> str:
    head, comma, payload = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ValueError("must be data:<media type>;base64,<data>")
    return url if _is_base64(payload) else _fail("holds malformed base64")


def base64_data(data: str) -> str:
    """The data itself. Raises ValueError where it is not base64."""
    return data if _is_base64(data) else _fail("holds malformed base64")


def _is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return False


def _fail(message: str) -> str:
    raise ValueError(message)
