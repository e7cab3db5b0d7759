"""What results files say of thinking, over the priors of `policies.quality`: written by `rung-train curves`.

Do not edit: run the recipe again, or declare `curves:` in a policy. docs/policy.md says what it rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Log-odds that unlimited thinking adds, per kind of task.
GAINS: Mapping[str, float] = MappingProxyType(
    {
        "logic": 1.27,  # 2 studies; prior 2.4, error 0.44
        "mathematics": 1.26,  # 2 studies; prior 1.6, error 0.37
        "coding": 0.29,  # 12 studies; prior 0.15, error 0.10
        "trick": 0.68,  # 7 studies; prior 1, error 0.14
    }
)

# How many times the usual tokens a question of the kind takes.
TOKENS: Mapping[str, float] = MappingProxyType(
    {
        "mathematics": 1.21,  # 6 questions; prior 1, error 0.24
        "logic": 1.82,  # 8 questions; prior 1, error 0.21
    }
)
