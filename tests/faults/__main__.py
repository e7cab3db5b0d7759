"""`make faults`: every promise against real processes, with its figure. `python -m tests.faults --help` tells more."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from tests.faults import checks, cost, mutants, soak
from tests.faults.report import Finding, line, table, write
from tests.faults.rig import CHECKS, Rig, run

OUTPUT = Path("build/faults.json")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.epilog = f"checks: {', '.join(module.__name__ for module in checks.ALL)}"
    parser.add_argument("what", nargs="?", choices=["promises", "soak", "mutants", "cost"], default="promises")
    parser.add_argument("--only", type=int, action="append", help="a promise's number; may be repeated")
    parser.add_argument("--quick", action="store_true", help="short lengths: a few minutes for all")
    parser.add_argument("--minutes", type=float, default=20, help="how long soak or mutants may last")
    parser.add_argument("--most", type=int, default=300, help="how many mutants are drawn")
    parser.add_argument("--seed", type=int, default=mutants.SEED, help="of the mutants that are drawn")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


async def _promises(only: list[int] | None, *, quick: bool, folder: Path) -> list[Finding]:
    findings: list[Finding] = []
    rig = Rig(folder=folder, quick=quick)
    try:
        for number in sorted(CHECKS):
            for check in CHECKS[number] if only is None or number in only else ():
                found = await run(check, rig)
                findings += found
                print("\n".join(map(line, found)), flush=True)
    finally:
        await rig.close()
    return findings


def main() -> None:
    """Run, tell, write; the status is 1 where a promise does not hold."""
    given = _arguments()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # the fake upstream's callers hang up on purpose
    with tempfile.TemporaryDirectory(prefix="rung-faults-", ignore_cleanup_errors=True) as folder:
        if given.what == "soak":
            findings = asyncio.run(soak.soak(Path(folder), minutes=given.minutes))
        elif given.what == "cost":
            findings = cost.findings(Path(folder))
        elif given.what == "mutants":
            findings = mutants.findings(given.most, given.minutes, Path(folder), given.seed)
        else:
            findings = asyncio.run(_promises(given.only, quick=given.quick, folder=Path(folder)))
    write(findings, given.output, quick=given.quick)
    print(f"\n{table(findings)}\n\n{given.output} holds the same")
    sys.exit(0 if findings and all(finding.holds for finding in findings) else 1)


if __name__ == "__main__":
    main()
