"""Made-up results in the form of the data files: what a test of data, training or benchmark starts from."""

from __future__ import annotations

import numpy as np
import pandas as pd

EASY = "sum apple garden water letter morning colour dog"
HARD = "theorem integral manifold spectral cohomology functor lemma tensor"


def made_up(n: int = 200, *, seed: int = 0, models: tuple[str, ...] = ("tiny-7b", "big-70b")) -> pd.DataFrame:
    """n questions, half of simple and half of difficult words.

    Every model answers the easy ones; of the difficult ones each answers more than the model before it.
    """
    draw = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for i in range(n):
        hard = bool(i % 2)
        words = draw.choice((HARD if hard else EASY).split(), size=12)
        prompt = f"Question {i}{seed}: {' '.join(words)} {'?' * (i % 3)}"
        for rank, model in enumerate(models):
            chance = (rank + 0.5) / len(models) if hard else 0.95
            rows.append(
                {
                    "source": f"made-up-{seed}",
                    "query_id": f"q{i}",
                    "prompt": prompt,
                    "category": "hard" if hard else "easy",
                    "model": model,
                    "score": float(draw.random() < chance),
                    "completion_tokens": float(draw.integers(50, 150) * (3 if hard else 1) * (rank + 1)),
                }
            )
    return pd.DataFrame(rows)
