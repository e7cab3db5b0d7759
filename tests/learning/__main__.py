"""`python -m tests.learning`: the demonstration as a command; `make demo-learning` calls it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.learning.demo import Plan, gates_of, run
from tests.learning.traffic import FILE

MUST_CLOSE = 1 / 3


def main() -> int:
    """Run it; 1 where less of the gap was closed than must be."""
    parser = argparse.ArgumentParser(description="A gateway learns from a month of its own traffic.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the results")
    parser.add_argument("--folder", type=Path, default=Path("build/demo-learning"), help="where everything is made")
    parser.add_argument("--out", type=Path, default=Path("build/learning.json"), help="the report")
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--feedbacks", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gates", type=Path, help="gates.yaml; the defaults of training where left out")
    words = parser.parse_args()
    if not (words.data / FILE).is_file():
        print(f"skipped: {words.data / FILE} is not there; name the folder with --data")
        return 0
    plan = Plan(
        data=words.data,
        folder=words.folder,
        out=words.out,
        requests=words.requests,
        feedbacks=words.feedbacks,
        days=words.days,
        seed=words.seed,
        gates=gates_of(words.gates),
    )
    report = asyncio.run(run(plan, lambda line: print(line, flush=True)))
    shown = ("in_force", "accuracy_at_equal_spend", "gain_at_equal_spend", "cost_at_equal_accuracy", "gap_closed")
    print(json.dumps({name: report[name] for name in (*shown, "seconds")}, indent=1))
    for at in report["at_other_spends"]:
        print(_row(at))
    closed = report["gap_closed"]["value"]
    print(f"{closed:.0%} of the gap closed by {report['feedbacks']:,} feedbacks; {MUST_CLOSE:.0%} is the least")
    return 0 if closed >= MUST_CLOSE else 1


def _row(at: dict[str, Any]) -> str:
    """One spend of the comparison."""
    right, saved = at["accuracy_at_equal_spend"], at["cost_at_equal_accuracy"]["saved_share"]
    return (
        f"at ${at['spend_usd_per_1000']:.4f} per 1,000: {right['first_day']['value']:.3f} right on the first day,"
        f" {right['learnt']['value']:.3f} now, {right['everything']['value']:.3f} with everything; the first day's"
        f" accuracy costs {saved['value']:.0%} [{saved['low']:.0%}, {saved['high']:.0%}] less"
    )


if __name__ == "__main__":
    sys.exit(main())
