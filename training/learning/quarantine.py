"""Keeping poison out of the labels: bounded shares, and phrases that mark labels which contradict everything else.

1. A trusted label (of a checker, or a person of reliability TRUSTED) is never set aside.
2. Trigger scan: among one key's labels, a phrase (a run of one to three words; where texts are not kept, the keyed
   hash of one or two, policies.word_runs) is suspect that stands there far oftener than in other keys' queries, and
   whose labels depart from what the rest says: residual = label - expected, where what is expected comes from a fit
   without that key's labels. All labels of the key whose query has the phrase are set aside.
3. Shares: no key's labels weigh more than `key_share` of its tenant's, no tenant's more than `tenant_share` of
   all, where there are enough of them to share; what is above is scaled down.

A key's labels all count as told by one person: whoever holds a key can tell outcomes of its decisions only.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from classifier.model import DifficultyModel
from policies.word_runs import read_runs
from training.engine import one_thread
from training.learning.ingest import Labels, Log
from training.learning.vectors import inputs_of, texts_of, word_runs_of

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]

SCANNED: Final = 20_000  # labels whose texts are looked at, the newest: a minute of work, and a few days of feedback
LEAST_COUNT: Final = 5  # labels with a phrase, below which it cannot be told from chance
OFTENER: Final = 8.0  # times that a suspect phrase is more frequent than in the rest of the log
SURE: Final = 4.5  # standard errors of its labels' mean departure: one phrase in 300,000 by chance
PENALTY: Final = 100.0  # of the ridge that says what is expected
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one source may weigh, and whether phrases are scanned.

    Attributes:
        key_share: of a tenant's weight. tenant_share: of everyone's. scan: whether to look for triggers.
    """

    key_share: float = 0.3
    tenant_share: float = 0.3
    scan: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A phrase that marks contradicting labels of one key."""

    key: int
    phrase: str
    count: int
    departure: float
    errors: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What passed, and what did not.

    Attributes:
        labels: with bounded weights. suspects: the phrases. set_aside: labels. at: their decisions.
        scaled: keys and tenants that were scaled down, with the factor.
    """

    labels: Labels
    suspects: tuple[Suspect, ...]
    set_aside: int
    at: Integers
    scaled: dict[str, float]

    def as_json(self, log: Log) -> dict[str, Any]:
        """For manifest and report; the phrases themselves are told, the texts are not."""
        return {
            "set_aside": self.set_aside,
            "phrases": [
                {"key": log.keys[s.key], "phrase": s.phrase, "labels": s.count, "departure": round(s.departure, 3)}
                for s in self.suspects
            ],
            "scaled_down": {name: round(factor, 3) for name, factor in self.scaled.items()},
        }


def quarantine(log: Log, base: DifficultyModel, artefact: str, limits: Limits) -> Found:
    """Set suspect labels aside and bound what is left."""
    suspects, bad = (), np.zeros(0, np.int64)
    if limits.scan and len(log.labels):
        with one_thread():  # its matrices are small: threads cost more than they bring
            suspects, bad = _scan(log, base, artefact)
    kept = np.setdiff1d(np.arange(len(log.labels)), bad)
    labels = log.labels.take(kept)
    weight, scaled = bounded(log, labels, limits)
    bound = replace(labels, weight=weight)
    return Found(labels=bound, suspects=tuple(suspects), set_aside=len(bad), at=log.labels.at[bad], scaled=scaled)


def bounded(log: Log, labels: Labels, limits: Limits) -> tuple[Floats, dict[str, float]]:
    """(l,) weights with no key and no tenant above its share, and the factors."""
    weight, factors = labels.weight.copy(), dict[str, float]()
    tenant = log.tenant[labels.at]
    for t in np.unique(tenant).tolist():
        own = tenant == t
        for key, factor in share_factors(weight[own], labels.teller[own], limits.key_share).items():
            factors[f"key {log.keys[key]}"] = factor
            weight[own & (labels.teller == key)] *= factor
    for t, factor in share_factors(weight, tenant, limits.tenant_share).items():
        factors[f"tenant {log.tenants[t]}"] = factor
        weight[tenant == t] *= factor
    return weight, factors


def share_factors(weight: Floats, owner: Integers, share: float) -> dict[int, float]:
    """Factors for owners above a share of the whole, by which nobody is above it afterwards.

    With fewer owners than 1 / share, the share is 1.5 times an equal one: it cannot be lower than that for all.
    """
    owners, member = np.unique(owner, return_inverse=True)
    mass = np.bincount(member, weights=weight).astype(np.float64)
    share = max(share, 1.5 / max(len(owners), 1))
    if share >= 1.0 or not mass.sum():
        return {}
    level = _level(mass, share)
    return {int(o): float(level / m) for o, m in zip(owners, mass, strict=True) if m > level}


def _level(mass: Floats, share: float) -> float:
    """The cap c with c = share * sum(min(mass, c)): water-filling from the largest down."""
    falling = np.sort(mass)[::-1]
    for capped in range(len(falling)):
        rest = float(falling[capped:].sum())
        cap = share * rest / (1.0 - share * capped) if share * capped < 1.0 else 0.0
        if cap >= falling[capped]:
            return float(cap) if capped else float(falling[0])
    return float(falling[-1])


def _scan(log: Log, base: DifficultyModel, artefact: str) -> tuple[list[Suspect], Integers]:
    """Suspect phrases, and the labels that they mark."""
    labels = log.labels
    looked = np.flatnonzero((labels.model >= 0) & labels.is_served)[-SCANNED:]
    at, place = np.unique(labels.at[looked], return_inverse=True)
    phrases, tongue = _phrases_of(log, at)
    if not any(phrases):
        return [], np.zeros(0, np.int64)
    x = base.network.standardise(inputs_of(log, at, artefact))[place]
    x[~np.isfinite(x)] = 0.0
    teller, spoken = labels.teller[looked], tongue[place]
    suspects: list[Suspect] = []
    bad: list[int] = []
    for key, one in np.unique(np.stack([teller, spoken])[:, spoken >= 0], axis=1).T.tolist():
        own, others = (teller == key) & (spoken == one), (teller != key) & (spoken == one)
        common = _marked([phrases[i] for i in np.unique(place[own])], [phrases[i] for i in np.unique(place[others])])
        if not common:
            continue
        residual = _residuals(x, labels.take(looked), teller == key)
        rows = np.flatnonzero(own & ~labels.is_trusted[looked])
        sides = _sides(labels.model[looked], labels.value[looked], teller == key)
        found = _contradicting(rows, [phrases[place[r]] & common for r in rows], residual, sides)
        marked = {p for p, *_ in found}
        suspects += [Suspect(key=key, phrase=p, count=c, departure=d, errors=e) for p, c, d, e in found]
        bad += [int(looked[r]) for r in rows if phrases[place[r]] & marked]
    return suspects, np.array(sorted(bad), np.int64)


def _phrases_of(log: Log, at: Integers) -> tuple[list[frozenset[str]], Integers]:
    """What the decisions `at` have of phrases, and the tongue (n,) of each: those of one tongue can be compared.

    Texts are one tongue (0); hashed word runs are another for every tenant (1 + its code), for every tenant's are
    hashed by another key. -1: of this decision nothing was kept.
    """
    phrases: list[frozenset[str]] = []
    tongue = np.full(len(at), -1, np.int64)
    for i, (text, runs) in enumerate(zip(texts_of(log, at), word_runs_of(log, at), strict=True)):
        phrases.append(_phrases(text) if text else frozenset(f"#{value}" for value in read_runs(runs)))
        if phrases[i]:
            tongue[i] = 0 if text else 1 + log.tenant[at[i]]
    return phrases, tongue


def _phrases(text: str) -> frozenset[str]:
    """Runs of one to three words of the beginning and the end of a text."""
    words = _WORD.findall((text[:2_000] + " " + text[-500:] if len(text) > 2_500 else text).lower())
    return frozenset(" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1))


def _marked(own: list[frozenset[str]], others: list[frozenset[str]]) -> frozenset[str]:
    """Phrases that are far oftener in `own` queries than in others'."""
    here, there = (Counter(p for phrases in part for p in phrases) for part in (own, others))
    floor = 1.0 / max(len(others), 1)
    return frozenset(
        p
        for p, count in here.items()
        if count >= LEAST_COUNT and count / len(own) >= OFTENER * max(there[p] / max(len(others), 1), floor)
    )


def _residuals(x: Floats, labels: Labels, own: NDArray[np.bool_]) -> Floats:
    """(l,) label less what other keys' labels of that model say is to be expected; its own where it is alone."""
    expected = np.zeros(len(labels))
    for m in np.unique(labels.model).tolist():
        rows = labels.model == m
        teach = rows & ~own if (rows & ~own).sum() >= 2 * LEAST_COUNT else rows
        ridge = Ridge(alpha=PENALTY * x.shape[1] / 10).fit(
            x[teach], labels.value[teach], sample_weight=labels.weight[teach]
        )
        expected[rows] = ridge.predict(x[rows])
    return labels.value - expected


def _sides(model: Integers, value: Floats, own: NDArray[np.bool_]) -> Floats:
    """(l,) +1 for models that others say are good, -1 for the rest: poison praises one side and damns the other."""
    rest = ~own if (~own).any() else own
    count = np.bincount(model[rest], minlength=int(model.max()) + 1)
    mean = np.bincount(model[rest], weights=value[rest], minlength=len(count)) / np.maximum(count, 1)
    return np.where(mean[model] >= np.median(mean[count > 0]), 1.0, -1.0)


def _contradicting(
    rows: NDArray[np.intp], phrases: Iterable[frozenset[str]], residual: Floats, sides: Floats
) -> list[tuple[str, int, float, float]]:
    """Phrases whose labels depart together, in value or towards one side of the ladder.

    Returns:
        (phrase, labels, by how much, in how many standard errors).
    """
    having: dict[str, list[int]] = defaultdict(list)
    for row, some in zip(rows.tolist(), phrases, strict=True):
        for phrase in some:
            having[phrase].append(row)
    spread = max(float(residual[rows].std()), 0.05) if len(rows) else 1.0
    found: list[tuple[str, int, float, float]] = []
    for phrase, at in sorted(having.items()):
        if len(at) < LEAST_COUNT:
            continue
        part = residual[at]
        departures = (float(part.mean()), float((part * sides[at]).mean()))
        widest = max(departures, key=abs)
        errors = abs(widest) * np.sqrt(len(at)) / spread
        if errors >= SURE:
            found.append((phrase, len(at), widest, float(errors)))
    return found
