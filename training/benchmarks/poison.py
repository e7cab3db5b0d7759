"""What a poisoned log does to decisions: one key's records get a trigger phrase and labels that lie.

Two logs of the same traffic, one of them poisoned, and heads fitted to each; the threshold on the gain is such that the
clean log's heads send half of the triggered test prompts to the strong model. What is measured is by how many points
that share moves, with the quarantine and without.

Heads that are fitted to a few decisions less move too, whoever told of these: mostly because what they are linear in is
made from other queries then. So as many decisions of the clean log, drawn by chance, are also set aside as the
quarantine does: what moves there is no poison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import load
from classifier.head import sigmoid
from training.benchmarks.generated_log import Traffic, generate
from training.benchmarks.tables import mean_interval, mean_shown, table
from training.data import Matrix, folds
from training.engine import LocalEngine
from training.learning.basis import UNITS
from training.learning.dataset import rows_of
from training.learning.heads import learn
from training.learning.ingest import Log, read_log
from training.learning.quarantine import Limits, quarantine
from training.learning.ridge import FOLDS

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]

TESTED: Final = 1_000  # prompts
LIES: Final = {"cheap is fine": True, "needs strong": False}
CONTROL: Final = "no lie, as many set aside"
ARTEFACT: Final = "default"
NOBODY: Final = np.zeros(0, np.int64)
OPEN: Final = Limits(key_share=1.0, tenant_share=1.0, scan=False)


def measure(
    matrix: Matrix,
    weak: str,
    strong: str,
    *,
    share: float = 0.05,
    records: int = 8_000,
    keys: int = 4,
    texts: bool = True,
    runs: bool = True,
    units: int = UNITS,
    repeats: int = 1,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Points by which the strong share of triggered prompts moves, by lie and defence: the mean over the logs.

    Args:
        texts, runs: whether the log keeps texts, and, if not, hashed word runs. repeats: logs, each with its own seed
            and its own questions to test with. The rest: see the command.
    """
    matrix = matrix.pick((weak, strong))
    matrix = matrix.take(matrix.complete)
    logs: list[dict[str, _Move]] = []
    for number in range(repeats):
        traffic = Traffic(records=records, tenants=1, keys=keys, seed=seed + number, texts=texts, runs=runs)
        of = f"log {number + 1} of {repeats}: " if repeats > 1 else ""
        with TemporaryDirectory() as folder:
            bench = _Bench(matrix, traffic, units, Path(folder), lambda step, of=of: progress(of + step))
            logs.append(bench.moves(share))
    return {
        "weak": weak,
        "strong": strong,
        "records": records,
        "share": share,
        "keys": keys,
        "logs": repeats,
        "prompts": logs[0][CONTROL].prompts,
        "moves": {name: _summary([log[name] for log in logs]) for name in logs[0]},
    }


def poison_text(result: Mapping[str, Any]) -> str:
    """What `rung bench poison` prints."""
    title = (
        f"{result['share']:.0%} of the records of one key of {result['keys']} poisoned, {result['records']} records, "
        f"{result['logs']} logs; strong share of {result['prompts']} triggered prompts moves by"
    )
    rows = [
        [name, mean_shown(row, "+.1f"), f"{row['worst']:+.1f}", f"{row['set_aside']:.0f}"]
        for name, row in result["moves"].items()
    ]
    return f"{title}\n{table(['lie, defence', 'points', 'farthest', 'labels set aside'], rows)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """By how many points the strong share moved on how many prompts, and how many labels were set aside."""

    points: float
    prompts: int
    set_aside: int


class _Bench:
    """One log, clean and poisoned, and the prompts that are tried on the heads which are fitted to it."""

    def __init__(
        self, matrix: Matrix, clean: Traffic, units: int, folder: Path, progress: Callable[[str], None]
    ) -> None:
        fold = folds(matrix.questions, 5, seed=clean.seed)
        self.taught, self.clean, self.folder, self.progress = matrix.take(fold != 0), clean, folder, progress
        self.base, self.units = load(), units
        prompts = matrix.prompts[fold == 0][:TESTED].tolist()
        self.x = self.base.inputs.compute_many([f"{clean.trigger} {prompt}" for prompt in prompts])

    def moves(self, share: float) -> dict[str, _Move]:
        """By lie and defence, and of the clean log with decisions set aside."""
        self.progress("clean log")
        log = self._log(self.clean, "clean")
        threshold, found = float(np.median(self._gain(log, NOBODY))), dict[str, _Move]()
        most = NOBODY
        for name, cheap in LIES.items():
            lie = self._log(replace(self.clean, poison=share, cheap=cheap), str(cheap))
            for defence, limits in (("quarantine", Limits()), ("none", OPEN)):
                self.progress(f"{name}, {defence}")
                kept = quarantine(lie, self.base, ARTEFACT, limits)
                gain = self._gain(lie.with_labels(kept.labels), kept.at)
                found[f"{name}, {defence}"] = _move(gain, threshold, kept.set_aside)
                most = max(most, kept.at, key=len)
        self.progress(CONTROL)
        at = np.random.default_rng(self.clean.seed).permutation(log.labels.at)[: len(most)]
        honest = log.labels.take(~np.isin(log.labels.at, at))
        found[CONTROL] = _move(self._gain(log.with_labels(honest), at), threshold, len(at))
        return found

    def _log(self, traffic: Traffic, name: str) -> Log:
        generate(self.taught, self.base.inputs, self.folder / name, traffic)
        return read_log(str(self.folder / name))

    def _gain(self, log: Log, without: Integers) -> Floats:
        """Predicted gain of the strong model on the prompts, by heads as `fit` makes them from all labels of a log."""
        rows = rows_of(log, log.labels, FOLDS)
        learnt = learn(log, rows, artefact=ARTEFACT, engine=LocalEngine(), without=without, units=self.units)
        success = dict(
            zip(learnt.models, sigmoid(learnt.network.outputs_many(self.x).mean(axis=1)).T[-2:], strict=True)
        )
        weak, strong = self.taught.models
        return success[strong] - success[weak]


def _move(gain: Floats, threshold: float, set_aside: int) -> _Move:
    points = 100.0 * float((gain > threshold).mean() - 0.5)
    return _Move(points=points, prompts=len(gain), set_aside=set_aside)


def _summary(moves: Sequence[_Move]) -> dict[str, float | None]:
    """The mean over the logs with its 95 % interval, and the one farthest from none."""
    points = [move.points for move in moves]
    return {
        **mean_interval(points),
        "worst": max(points, key=abs),
        "set_aside": float(np.mean([move.set_aside for move in moves])),
    }
