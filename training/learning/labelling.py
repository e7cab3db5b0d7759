"""`rung-train label`: labels bought where they teach most, from a judge or a check of what other rungs answer.

1. pick      logged questions with their text, whole in themselves (training.learning.candidates)
2. replay    through the gateway's own API, each rung by its name; what it costs is booked like any request
3. score     by a judge or a command (training.learning.judge)
4. keep      outcomes of the source `judge` in the log's own table, which the next `rung-train fit` reads

Everything is in a journal, one line a question: a run that was ended goes on where it stopped, and pays nothing twice.
A question that was paid for and came to nothing stands there too, so that its cost counts against the budget.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from policies.log_schema import JUDGE, OUTCOMES
from training.learning.candidates import Candidate
from training.learning.judge import Gateway, Metered, Score
from training.learning.tables import OUTCOME_SCHEMA
from training.rows import DataError

RELIABILITY: Final = 0.7  # of a judge; of a command's score it is 0.9
CHECK_RELIABILITY: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a rung's answer to a question is worth, 0..1."""

    model: str
    tier: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One line of the journal. `usd`: what its calls have cost; `labels`: none where they came to nothing."""

    decision_id: str
    tenant: str
    created: float
    source: str
    labels: tuple[Label, ...]
    usd: float


async def label(
    candidates: Sequence[Candidate],
    gateway: Metered,
    score: Score,
    *,
    journal: Path,
    questions: int,
    budget_usd: float,
    models: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> list[Labelled]:
    """Buy labels until so many questions have them or the money is spent; what the journal holds counts.

    Args:
        candidates: in order. gateway: that answers, and through which the score asks. score: of the answers.
        journal: made where it is missing.
        questions: at the most. budget_usd: a question is not begun when it is spent. models: to ask; all where empty.
        say: told of each question.
    """
    done = read_journal(journal)
    for candidate in candidates:
        spent, labelled = sum(one.usd for one in done.values()), sum(bool(one.labels) for one in done.values())
        if labelled >= questions or spent >= budget_usd:
            break
        if candidate.decision_id in done:
            continue
        before, labels = gateway.usd, tuple[Label, ...]()
        try:
            labels = await _labels(candidate, gateway, score, models)
        except DataError as error:
            say(f"{candidate.decision_id}: {error}")
        usd = gateway.usd - before
        if labels or usd:
            one = done[candidate.decision_id] = _labelled(candidate, score, labels, usd)
            _note(journal, one)
            say(f"{labelled + bool(labels)}/{questions} questions, ${spent + usd:.4f} of ${budget_usd:g}")
    return list(done.values())


async def _labels(candidate: Candidate, gateway: Gateway, score: Score, models: Sequence[str]) -> tuple[Label, ...]:
    rungs = [(model, tier) for model, tier in candidate.rungs if not models or model in models]
    if len(rungs) < 2:
        raise DataError("fewer than two of the named models could have served it")
    answers = [(await gateway.ask(model, candidate.text))[0] for model, _ in rungs]
    values = await score(candidate.text, answers)
    return tuple(Label(model=m, tier=t, value=v) for (m, t), v in zip(rungs, values, strict=True))


def _labelled(candidate: Candidate, score: Score, labels: tuple[Label, ...], usd: float) -> Labelled:
    return Labelled(
        decision_id=candidate.decision_id,
        tenant=candidate.tenant,
        created=time.time(),
        source=score.source,
        labels=labels,
        usd=usd,
    )


def read_journal(path: Path) -> dict[str, Labelled]:
    """What was bought already, by decision. A last line that a crash cut off is left out."""
    found: dict[str, Labelled] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            value: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        labels = tuple(Label(**one) for one in value.pop("labels"))
        found[value["decision_id"]] = Labelled(**value, labels=labels)
    return found


def _note(path: Path, one: Labelled) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() and not _ends_whole(path):
            file.write(b"\n")  # a crash cut the last line off
        file.write(json.dumps(asdict(one)).encode() + b"\n")
        file.flush()


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def write_outcomes(logs: str, labelled: Sequence[Labelled]) -> int:
    """Put labels into the log's outcomes; the same ones again change nothing. Returns how many."""
    files, root = fsspec.core.url_to_fs(logs)
    parts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in (one for one in labelled if one.labels):
        day = time.strftime("%Y-%m-%d", time.gmtime(one.created))
        parts.setdefault((one.tenant, day), []).extend(_outcome(one, label) for label in one.labels)
    for (tenant, day), rows in parts.items():
        named = sha256("".join(sorted(row["outcome_id"] for row in rows)).encode()).hexdigest()[:16]
        folder = f"{root}/{OUTCOMES}/tenant={tenant}/day={day}"
        files.makedirs(folder, exist_ok=True)
        with files.open(f"{folder}/part-judge-{named}.parquet", "wb") as handle:
            pq.write_table(pa.Table.from_pylist(rows, schema=OUTCOME_SCHEMA), handle)
    return sum(map(len, parts.values()))


def _outcome(one: Labelled, label: Label) -> dict[str, Any]:
    identity = f"{one.source}\x00{one.decision_id}\x00{label.model}"
    return {
        "outcome_id": sha256(identity.encode()).hexdigest()[:32],
        "decision_id": one.decision_id,
        "tenant": one.tenant,
        "key": one.source,
        "created": one.created,
        "written": one.created,
        "source": one.source,
        "value": label.value,
        "reliability": RELIABILITY if one.source == JUDGE else CHECK_RELIABILITY,
        "model": label.model,
        "tier": label.tier,
        "allowance": 0,
    }
