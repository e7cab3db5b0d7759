"""What the rig found: one finding for each promise and fault, as a table and as `build/faults.json`."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One figure.

    Attributes:
        number: of the promise in docs/reliability.md. name: of the check. done: load and faults, in words.
        figure: what was measured. bound: what it must be. holds: whether it is.
        mode: the rig's own command for it, where it is not a promise's check.
    """

    number: int
    name: str
    done: str
    figure: str
    bound: str
    holds: bool
    took_s: float = 0.0
    mode: str = ""

    @property
    def command(self) -> str:
        """How to measure this one again."""
        return f"python -m tests.faults {self.mode or f'--only {self.number}'}"


def line(finding: Finding) -> str:
    """One row of the table."""
    verdict = "holds" if finding.holds else "FAILS"
    return f"{finding.number:>2}  {verdict}  {finding.name}: {finding.figure}  [{finding.bound}]  ({finding.done})"


def table(findings: Sequence[Finding]) -> str:
    """A Markdown table."""
    rows = [
        "| promise | what was done | figure | bound | holds |",
        "|---|---|---|---|---|",
        *(
            f"| {f.number}. {f.name} | {f.done} | {f.figure} | {f.bound} | {'yes' if f.holds else 'NO'} |"
            for f in findings
        ),
    ]
    return "\n".join(rows)


def write(findings: Sequence[Finding], path: Path, *, quick: bool) -> None:
    """The findings as JSON: `promises` with everything, `results` in the short form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": platform.platform(),
        "quick": quick,
        "promises": [{**asdict(finding), "command": finding.command} for finding in findings],
        "results": [
            {"name": f.name, "promise": f.number, "load": f.done, "figure": f.figure, "passed": f.holds}
            for f in findings
        ],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
