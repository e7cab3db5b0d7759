"""`make audit`: the pinned dependencies against the advisories' database.

The status is 0: nothing known; 1: something is known; 3: no network. Without a network nothing is known, and that is
said: it is no failure of the code, and no success either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

CLEAN, KNOWN, OFFLINE = 0, 1, 3
# What pip-audit ends with where it could not ask, rather than that it found something.
_NETWORK = (
    "ConnectionError",
    "Failed to resolve",
    "Max retries exceeded",
    "Connection refused",
    "timed out",
    "ServiceError",
)


def audit(lock: str) -> tuple[int, str]:
    """What the database says of one lock, and the words for it."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes", "--disable-pip"]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        offline = any(word in done.stderr for word in _NETWORK)
        return (OFFLINE, _unreachable(lock)) if offline else (KNOWN, f"{lock}:\n{done.stderr.strip()[-4000:]}")
    return verdict(lock, json.loads(done.stdout)["dependencies"])


def verdict(lock: str, dependencies: list[dict[str, Any]]) -> tuple[int, str]:
    """What pip-audit's list says: a dependency that it skipped is not known to be clean, though its own status is 0."""
    bad = [
        f"  {one['name']} {one['version']}: {', '.join(v['id'] for v in one['vulns'])}"
        for one in dependencies
        if one.get("vulns")
    ]
    if bad:
        return KNOWN, "\n".join([f"{lock}: known to be vulnerable", *bad])
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    if len(skipped) == len(dependencies):
        return OFFLINE, _unreachable(lock)
    words = f"; NOT CHECKED, because the database does not have them: {', '.join(skipped)}" if skipped else ""
    return CLEAN, f"{lock}: nothing known of {len(dependencies) - len(skipped)} dependencies{words}"


def _unreachable(lock: str) -> str:
    return f"{lock}: NOT CHECKED, the advisories' database cannot be reached from here"


def main() -> None:
    """Audit the locks named on the command line; the worst status is the command's."""
    verdicts = [audit(lock) for lock in sys.argv[1:]]
    print("\n".join(words for _, words in verdicts))
    codes = {code for code, _ in verdicts}
    sys.exit(KNOWN if KNOWN in codes else OFFLINE if OFFLINE in codes else CLEAN)


if __name__ == "__main__":
    main()
