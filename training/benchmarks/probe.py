"""The measuring process of `rung bench latency`: load time, memory and latencies of one fresh interpreter.

It is run as `python -m training.benchmarks.probe` with one thread for all numerical libraries, and prints one JSON
object. It imports nothing but the standard library before the first reading of its memory.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import Any

CALLS = 2000  # p99 then rests on 20 calls
WARM_UP = 200
ALLOWANCES = (0, 1024, 4096, 8192, 16384, 32768)  # thinking tokens: six rungs a model
MODELS = 12

# Words of everyday questions. A quarter of each text is made-up words, so that nothing is remembered from the last.
WORDS = """what is the of a in to and how for does can between which method result number function water light energy
market history python list sum value explain write compute find derive compare translate integral theorem cell contract
loss gradient river tax poem seven 12 450 3.5 x y matrix proof graph train model doctor law"""
SYLLABLES = "ba co di el fu gra hy is ke lo mi no pre qua re sta tion un ver with"
MADE_UP = 0.25


def memory_mb() -> float:
    """Resident memory of this process in MB; where /proc is absent, the most that it ever was."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def texts(words: int, count: int, *, seed: int = 0) -> list[str]:
    """Distinct texts of so many words each."""
    draw = Random(seed)  # noqa: S311 - made-up text, not a secret
    return [" ".join(_word(draw) for _ in range(words)) for _ in range(count)]


def quantiles(call: Callable[[Any], object], inputs: Sequence[Any], calls: int) -> dict[str, float]:
    """`p50_ms`, `p99_ms` by the clock and `cpu_p99_ms` by the thread's own time, after a warm-up.

    On a busy machine the clock's p99 is the scheduler's, the thread's is ours. The garbage collector runs as it would.
    """
    for one in islice(cycle(inputs), WARM_UP):
        call(one)
    gc.collect()
    spent = [_spent(call, one) for one in islice(cycle(inputs), calls)]
    clock, own = sorted(pair[0] for pair in spent), sorted(pair[1] for pair in spent)
    at = (calls * 99) // 100
    return {"p50_ms": clock[calls // 2] / 1e6, "p99_ms": clock[at] / 1e6, "cpu_p99_ms": own[at] / 1e6}


def measure(artefact: str, calls: int = CALLS) -> dict[str, Any]:
    """Everything, in the order in which a serving process would meet it."""
    bare = memory_mb()
    start = perf_counter()
    from classifier import Query, load

    model = load(artefact)
    model.estimate(Query(text="Hello"))
    loaded, load_s = memory_mb(), perf_counter() - start
    rows = [
        {"name": f"classifier_{n}_words", **quantiles(model.estimate, [Query(text=t) for t in texts(n, calls)], calls)}
        for n in (20, 600)
    ]
    longest = [Query(text=text) for text in texts(50_000, 20)]  # more than 200,000 characters
    rows.append({"name": "classifier_200000_characters", **quantiles(model.estimate, longest, calls)})
    rows.append({"name": "policy_decision", **_decisions(calls)})
    return {
        "results": rows,
        "load_s": load_s,
        "memory_mb": loaded - bare,
        "bare_interpreter_mb": bare,
        "torch_imported": "torch" in sys.modules,
    }


def _word(draw: Random) -> str:
    made_up = draw.random() < MADE_UP
    return "".join(draw.choices(SYLLABLES.split(), k=3)) if made_up else draw.choice(WORDS.split())


def _spent(call: Callable[[Any], object], one: object) -> tuple[int, int]:
    """Nanoseconds of one call, by the clock and by the thread's own time."""
    start, own = perf_counter_ns(), thread_time_ns()
    call(one)
    return perf_counter_ns() - start, thread_time_ns() - own


def _decisions(calls: int) -> dict[str, float]:
    """Policy decisions over 12 models x 6 allowances."""
    from policies.catalog import Catalog
    from policies.decide import decide
    from policies.types import Control, Demand, Forecast, Model, Prices, Purse, Reasoning, Wishes

    reasoning = Reasoning(
        control=Control.LEVELS, levels=tuple((f"level-{tokens}", tokens) for tokens in ALLOWANCES[1:])
    )
    models = [
        Model(
            id=f"model-{i}",
            upstream=f"provider/model-{i}",
            tier=("economy", "standard", "premium")[i * 3 // MODELS],
            prices=Prices(input=50_000_000 * 2**i, output=200_000_000 * 2**i),
            context_window=200_000,
            max_output=64_000,
            ability=0.3 + 0.05 * i,
            reasoning=reasoning,
        )
        for i in range(MODELS)
    ]
    catalog, draw = Catalog(models), Random(0)  # noqa: S311 - made-up difficulties
    kinds = {"knowledge": 0.4, "puzzle": 0.3, "mathematics": 0.2, "code": 0.1}  # in doubt, as the classifier often is
    forecasts = [
        Forecast(difficulty=d, kinds=kinds, success={m.id: max(0.0, min(1.0, m.ability + 0.5 - d)) for m in models})
        for d in (draw.random() for _ in range(calls))
    ]

    def one(forecast: Forecast) -> object:
        return decide(
            catalog=catalog, demand=Demand(input_tokens=300), forecast=forecast, wishes=Wishes(), purse=Purse()
        )

    return quantiles(one, forecasts, calls)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
