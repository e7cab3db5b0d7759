"""The learnt curves as the module that the policy ships, and as a report for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.curves import Fitted, Learnt

_HEAD = '''"""What results files say of thinking, over the priors of `policies.quality`: written by `rung-train curves`.

Do not edit: run the recipe again, or declare `curves:` in a policy. docs/policy.md says what it rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
'''


def module_text(learnt: Learnt) -> str:
    """`policies/learnt.py`."""
    gains = _table("GAINS", "Log-odds that unlimited thinking adds, per kind of task", learnt.gains, "studies")
    tokens = _table(
        "TOKENS", "How many times the usual tokens a question of the kind takes", learnt.tokens, "questions"
    )
    return f"{_HEAD}\n{gains}\n{tokens}"


def report_text(learnt: Learnt, proof: Sequence[Mapping[str, Any]]) -> str:
    """What `rung-train curves` prints."""
    lines = [
        "kind          studies  gain: prior -> learnt      held out: log loss none / prior / learnt   miss likewise"
    ]
    for row in proof:
        gain = learnt.gains[row["kind"]]
        ways = [row[way] for way in ("none", "prior", "learnt")]
        losses = " / ".join(f"{way['log_loss']:.4f}" for way in ways)
        misses = " / ".join(f"{way['miss']:.3f}" for way in ways)
        lines.append(
            f"{row['kind']:14}{row['studies']:6}  {gain.prior:5.2f} -> {gain.learnt:.2f} ± {gain.error:.2f}"
            f"          {losses}             {misses}"
        )
    lines += ["", "kind          questions  tokens, times the usual need"]
    lines += [f"{kind:14}{one.units:6}     {one.learnt:.2f}" for kind, one in learnt.tokens.items()]
    return "\n".join(lines)


def _table(name: str, what: str, fitted: Mapping[str, Fitted], units: str) -> str:
    rows = [
        f'        "{kind}": {one.learnt:.2f},  # {one.units} {units}; prior {one.prior:g}, error {one.error:.2f}'
        for kind, one in fitted.items()
    ]
    return "\n".join(
        [f"# {what}.", f"{name}: Mapping[str, float] = MappingProxyType(", "    {", *rows, "    }", ")", ""]
    )
