"""The registry of classifiers, read: what may be loaded, and what is to do what. Safe for serving.

A registry is a folder:

    artefacts/<version>/   an artefact (classifier.artefact) and manifest.sig, a signature of manifest.json, which names
                           the SHA-256 of every other file
    state.json             {"state": "<JSON>", "signature": "..."}: who is active, in shadow, canary (assignments)
    audit.jsonl            what was done, by whom and why; for people

Nothing is parsed before its signature or its sum has been checked, and nothing is loaded but what the signed state
names with the hash of its manifest: a genuine but older artefact under a newer one's name is refused, as is a genuine
but older state. What is checked is a private copy, so that nobody can change it in between.
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from classifier import artefact
from classifier.artefact import ArtefactError
from classifier.assignments import SHIPPED, State, from_json
from classifier.model import DifficultyModel
from classifier.signing import SignatureError, WrongSignature, check_public_key, verify

MAX_BYTES: Final = 20_000_000  # of a whole artefact; the one that ships has six million
MAX_STATE_BYTES: Final = 4_000_000  # ten thousand tenants with models of their own
FILES: Final = frozenset(
    {"manifest.json", "manifest.sig", "heads.safetensors", "encoder.safetensors", "vocabulary.txt", "golden.json"}
)
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RegistryError(ArtefactError):
    """A classifier or the registry's state is not to be used. The message says why and how to mend it."""


class Unsigned(RegistryError):
    """There is no signature, or none of a trusted key."""


class Altered(RegistryError):
    """Content and signature, or file and sum, do not belong together."""


class Outdated(RegistryError):
    """A state older than one that was already seen, or a version that was retired."""


class Oversized(RegistryError):
    """More bytes than an artefact may have."""


class Registry:
    """A registry's folder, trusted as far as its signatures go.

    Args:
        folder: where it lies.
        public_keys: of those who may add, promote and roll back; 64 hexadecimal digits each.
        least_sequence: of a state that may be believed; give what was last seen, across restarts, to be safe from
            replays across them too.

    Raises:
        SignatureError: a public key is none.
    """

    def __init__(self, folder: str | Path, public_keys: Iterable[str], *, least_sequence: int = 0) -> None:
        self.folder = Path(folder)
        self.public_keys = tuple(check_public_key(key) for key in public_keys)
        self._seen = least_sequence

    def state(self) -> State:
        """The state in force, read afresh. Cheap enough to be asked every second.

        Raises:
            RegistryError: it is missing, unsigned, altered, or older than one that was seen before.
        """
        signed = self._signed_state()
        text = str(signed.get("state"))
        self._verify(text.encode(), str(signed.get("signature", "")), "state.json")
        try:
            state = from_json(text)
        except ValueError as error:
            raise RegistryError(f"state.json: {error}") from error
        if state.sequence < self._seen:
            raise Outdated(
                f"state.json has the sequence {state.sequence}, but {self._seen} was seen before: somebody put an "
                "older one back; restore the newest, or roll back with `rung-train registry rollback`"
            )
        self._seen = state.sequence
        return state

    def load(self, version: str) -> DifficultyModel:
        """A version that the state names, checked; `default` is the one that ships.

        Raises:
            Unsigned, Altered, Outdated, Oversized: it is not to be trusted.
            ArtefactError: it does not fit this version of Rung.
        """
        if version == SHIPPED:
            return artefact.load_default()
        state = self.state()
        if version not in state.manifests:
            raise Unsigned(f"the registry's state names no version {version}; add it with `rung-train registry add`")
        if version in state.retired:
            raise Outdated(f"{version} is retired; promote another")
        with tempfile.TemporaryDirectory(prefix="rung-artefact-") as private:
            copy = Path(private)
            self._copy(version, copy)
            self._check(version, copy, state.manifests[version])
            return artefact.load(copy)

    def manifest(self, version: str) -> dict[str, Any]:
        """A version's manifest, its signature checked (not the files that it names); `default` is the one that ships.

        Raises:
            RegistryError: there is no such version, or its manifest is not to be trusted.
        """
        if version == SHIPPED:
            return artefact.read_manifest(artefact.DEFAULT)
        folder = self.artefact_folder(version)
        if not folder.is_dir():
            raise RegistryError(f"there is no version {version} in {self.folder}; `rung-train registry list` shows all")
        content = _bounded(folder / "manifest.json", MAX_BYTES)
        self._verify(content, _signature(folder), f"{version}/manifest.json")
        manifest: dict[str, Any] = json.loads(content)
        return manifest

    def artefact_folder(self, version: str) -> Path:
        """Where a version lies.

        Raises:
            RegistryError: that is no version's name.
        """
        if not _VERSION.fullmatch(version):
            raise RegistryError(f"{version!r} is no version: letters, digits, dot, dash and underscore")
        return self.folder / "artefacts" / version

    def _copy(self, version: str, to: Path) -> None:
        """Copy the files that an artefact has, and no more bytes than it may have."""
        source, left = self.artefact_folder(version), MAX_BYTES
        if not source.is_dir():
            raise RegistryError(f"{source} is missing; restore the folder or fit again")
        strange = sorted({entry.name for entry in source.iterdir()} - FILES)
        if strange:
            raise Altered(f"{source} holds {', '.join(strange[:3])}, which no artefact has; restore the folder")
        for name in sorted(FILES):
            content = _bounded(source / name, left)
            left -= len(content)
            (to / name).write_bytes(content)

    def _check(self, version: str, copy: Path, manifest_sha256: str) -> None:
        content = (copy / "manifest.json").read_bytes()
        self._verify(content, _signature(copy), f"{version}/manifest.json")
        if sha256(content).hexdigest() != manifest_sha256:
            raise Altered(f"{version}/manifest.json is not the one that was added under this name; restore the folder")
        manifest = artefact.read_manifest(copy)
        if f"{manifest['name']}-{manifest['version']}" != version:
            raise Altered(f"{version} holds the artefact {manifest['name']}-{manifest['version']}; restore the folder")
        for name, expected in manifest["files"].items():
            if name not in FILES or sha256((copy / name).read_bytes()).hexdigest() != expected:
                raise Altered(f"{version}/{name} is not the file that the signed manifest names; restore the folder")

    def _signed_state(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        try:
            value: dict[str, Any] = json.loads(_bounded(path, MAX_STATE_BYTES))
        except ValueError as error:
            if isinstance(error, RegistryError):
                raise
            raise Altered(f"{path} is not JSON ({error}); restore it") from error
        return value

    def _verify(self, content: bytes, signature: str, what: str) -> None:
        if not signature:
            raise Unsigned(f"{what} is not signed; only what `rung-train registry` wrote is loaded")
        try:
            verify(content, signature, self.public_keys)
        except SignatureError as error:
            kind = Altered if isinstance(error, WrongSignature) else Unsigned
            raise kind(f"{what}: {error}; restore it, or trust the key that signed it") from error


def _bounded(path: Path, limit: int) -> bytes:
    """A regular file's content, at most `limit` bytes of it read."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise Altered(f"{path} is not a plain file; restore it")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        kind = Unsigned if path.name == "manifest.sig" else RegistryError
        remedy = "`rung-train registry init` makes a registry, `rung-train fit` fills it"
        raise kind(f"{path} is missing; {remedy}") from error
    if len(content) > limit:
        raise Oversized(f"{path.parent} is larger than {MAX_BYTES:,} bytes; fit with fewer heads")
    return content


def _signature(folder: Path) -> str:
    return _bounded(folder / "manifest.sig", 1_000).decode("ascii", "replace")


def copy_artefact(source: Path, to: Path) -> None:
    """Copy the files of an artefact, without a signature."""
    to.mkdir(parents=True)
    for name in FILES - {"manifest.sig"}:
        shutil.copyfile(source / name, to / name)
