"""`make audit`: the pinned dependencies against the advisories' database.

The status is 0: nothing known; 1: something is known; 3: no network. Without a network nothing is known, and that is
said: it is no failure of the code, and no success either.
"""

from __future__ import annotations

import subprocess
import sys

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
    done = subprocess.run(
        [*command, "--progress-spinner", "off", "--timeout", "10"], capture_output=True, text=True, check=False
    )
    said = f"{done.stdout}{done.stderr}".strip()
    if done.returncode == 0:
        return CLEAN, f"{lock}: nothing known"
    if any(word in said for word in _NETWORK):
        return OFFLINE, f"{lock}: NOT CHECKED, the advisories' database cannot be reached from here"
    return KNOWN, f"{lock}:\n{said[-4000:]}"


def main() -> None:
    """Audit the locks named on the command line; the worst status is the command's."""
    verdicts = [audit(lock) for lock in sys.argv[1:]]
    print("\n".join(words for _, words in verdicts))
    codes = {code for code, _ in verdicts}
    sys.exit(KNOWN if KNOWN in codes else OFFLINE if OFFLINE in codes else CLEAN)


if __name__ == "__main__":
    main()
