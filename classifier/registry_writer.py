"""The registry of classifiers, written: candidates added, moved, rolled back. Needs the private key.

Every move takes the folder's lock, reads the newest state, makes the next one (classifier.assignments), writes what is
about to happen into the audit trail, and only then puts the signed state in place of the old one by a rename: a reader
sees the old or the new one, whole, and nothing takes effect that is not in the trail.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from classifier.artefact import read_manifest
from classifier.assignments import MoveError, State, to_json
from classifier.registry import MAX_BYTES, Oversized, Registry, RegistryError, copy_artefact
from classifier.signing import Signer


class RegistryWriter:
    """Moves versions between the states of a registry, one move at a time across processes.

    Args:
        folder: where the registry lies; see `create`.
        signer: whose public key the readers trust.
        by: who acts, for the audit trail; by default the account's name.
        now: Unix seconds, for the audit trail.
    """

    def __init__(
        self, folder: str | Path, signer: Signer, *, by: str | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self.folder = Path(folder)
        self._signer = signer
        self._by = by or getpass.getuser()
        self._now = now
        self.reader = Registry(self.folder, [signer.public_key])

    def create(self) -> State:
        """An empty registry, in which the artefact that ships decides for everyone.

        Raises:
            MoveError: there is one already.
        """
        (self.folder / "artefacts").mkdir(parents=True, exist_ok=True)
        with self._locked():
            if (self.folder / "state.json").exists():
                raise MoveError(f"{self.folder} is a registry already")
            return self._put(State(), "create", {})

    def add(self, artefact: Path, *, why: str = "") -> str:
        """Copy an artefact in as a candidate, sign it, and return its version.

        Raises:
            ArtefactError: it is none. Oversized: it is too large to be served. MoveError: the version is there already.
        """
        manifest = read_manifest(artefact)
        version = f"{manifest['name']}-{manifest['version']}"
        goal = self.reader.artefact_folder(version)
        if (size := sum(file.stat().st_size for file in artefact.iterdir())) > MAX_BYTES:
            raise Oversized(f"{artefact} has {size:,} bytes, more than {MAX_BYTES:,}; fit with fewer heads")
        with self._locked():
            content = (artefact / "manifest.json").read_bytes()
            state = self.reader.state().added(version, sha256(content).hexdigest())
            staging = goal.with_name(f".{version}.{os.getpid()}")
            shutil.rmtree(staging, ignore_errors=True)
            copy_artefact(artefact, staging)
            _write(staging / "manifest.sig", self._signer.sign(content).encode())
            shutil.rmtree(goal, ignore_errors=True)  # what a crash left: no state names it
            staging.rename(goal)
            self._put(state, "add", {"version": version, "why": why})
        return version

    def shadow(self, version: str | None, *, tenant: str | None = None, why: str = "") -> State:
        """Let a version judge beside the active one; None ends it. Raises MoveError."""
        details = {"version": version, "tenant": tenant, "why": why}
        return self._move("shadow", lambda state: state.shadowed(version, tenant=tenant), details)

    def canary(self, version: str | None, share: float, *, tenant: str | None = None, why: str = "") -> State:
        """Let a version decide a share of the queries; None or 0 ends it. Raises MoveError."""
        details = {"version": version, "share": share, "tenant": tenant, "why": why}
        return self._move("canary", lambda state: state.with_canary(version, share, tenant=tenant), details)

    def promote(self, version: str, *, tenant: str | None = None, why: str = "") -> State:
        """Let a version decide, once it has been loaded with every check. Raises MoveError, ArtefactError."""
        self.reader.load(version)
        details = {"version": version, "tenant": tenant, "why": why}
        return self._move("promote", lambda state: state.promoted(version, tenant=tenant), details)

    def roll_back(self, *, tenant: str | None = None, why: str = "") -> State:
        """Let what decided before the last promotion decide again. Raises MoveError."""
        return self._move("rollback", lambda state: state.rolled_back(tenant=tenant), {"tenant": tenant, "why": why})

    def retire(self, version: str, *, why: str = "") -> State:
        """Let a version never be loaded again. Raises MoveError."""
        return self._move("retire", lambda state: state.without(version), {"version": version, "why": why})

    def audit(self) -> list[dict[str, Any]]:
        """What was done, oldest first. The last line may tell of a move that a crash prevented."""
        path = self.folder / "audit.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _move(self, action: str, move: Callable[[State], State], details: dict[str, Any]) -> State:
        with self._locked():
            return self._put(move(self.reader.state()), action, details)

    def _put(self, state: State, action: str, details: dict[str, Any]) -> State:
        text = to_json(state)
        entry = {"at": self._now(), "by": self._by, "action": action, "sequence": state.sequence}
        self._note({**entry, **{k: v for k, v in details.items() if v not in {None, ""}}})
        signed = {"state": text, "signature": self._signer.sign(text.encode())}
        _write(self.folder / "state.json", json.dumps(signed).encode())
        return state

    def _note(self, entry: dict[str, Any]) -> None:
        with (self.folder / "audit.jsonl").open("ab") as file:
            file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Generator[None]:
        if not self.folder.is_dir():
            raise RegistryError(f"{self.folder} is no registry; `rung-train registry init` makes one")
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _write(path: Path, content: bytes) -> None:
    """Put a file in place whole: written beside it, flushed to the disk, renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
