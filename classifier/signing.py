"""Ed25519 signatures of the registry's files: who may say that a classifier is to be trusted.

A public key is 32 bytes, written as 64 hexadecimal digits; a private one is a PKCS #8 PEM file that only training and
whoever promotes need. Signatures stand beside what they sign as `<key id>:<base64>`, so that keys can be changed: a
reader is given every key that it trusts.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


class SignatureError(ValueError):
    """A key cannot be used, or a signature not be trusted; the message says which."""


class WrongSignature(SignatureError):
    """A trusted key signed something else."""


def create_key(path: Path) -> str:
    """Write a new private key that only its owner can read; return the public one, in hexadecimal digits.

    Raises:
        FileExistsError: there is one; it is never written over.
    """
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Signer(key).public_key


class Signer:
    """Signs with a private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw().hex()

    @classmethod
    def read(cls, path: Path) -> Signer:
        """From a file.

        Raises:
            SignatureError: it is no such key.
        """
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            remedy = "make one with `rung-train registry init`"
            raise SignatureError(f"{path} is not a readable Ed25519 key ({error}); {remedy}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SignatureError(f"{path} holds another kind of key than Ed25519")
        return cls(key)

    def sign(self, content: bytes) -> str:
        """`<key id>:<base64>`."""
        return f"{key_id(self.public_key)}:{base64.b64encode(self._key.sign(content)).decode()}"


def key_id(public_key: str) -> str:
    """A short name for a public key, which tells readers which one to try."""
    return sha256(bytes.fromhex(public_key)).hexdigest()[:16]


def check_public_key(text: str) -> str:
    """A public key as it is kept, from what an operator wrote.

    Raises:
        SignatureError: it is not 64 hexadecimal digits.
    """
    plain = text.strip().lower()
    try:
        if len(bytes.fromhex(plain)) == 32:  # noqa: PLR2004 - bytes of an Ed25519 public key
            return plain
    except ValueError:
        pass
    raise SignatureError("a public key is 64 hexadecimal digits; `rung-train registry init` prints it")


def verify(content: bytes, signature: str, public_keys: Iterable[str]) -> None:
    """Return if one of the keys signed this content.

    Raises:
        SignatureError: none did (`WrongSignature`: one of them signed something else).
    """
    named, _, encoded = signature.strip().partition(":")
    trusted = {key_id(key): key for key in public_keys}
    if named not in trusted:
        raise SignatureError(f"signed with the key {named[:16] or '(none)'}, which is not among those trusted")
    try:
        raw = base64.b64decode(encoded, validate=True)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(trusted[named])).verify(raw, content)
    except (InvalidSignature, ValueError) as error:
        raise WrongSignature("the signature does not belong to this content") from error
