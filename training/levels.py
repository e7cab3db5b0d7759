"""The network that ships: success per ability level over all files, kinds of task, tokens.

Files differ in how hard they are on the whole for reasons that no wording shows (answer options, strict parsers).
During the fit each file therefore has an input of its own that takes these differences up; at prediction it stands at
its mean, and is left out of what is kept (`without_extra_inputs`).

What transfers between files best are two plain features: prose is easier than symbols, in every file with an AUROC of
about .6, and a question that is longer without its answer options is harder, within nearly every category. A network
would learn to distrust them from the correlations within its training files, so they are added after the fit as
a prior (`with_prior`); leave-one-file-out AUROC of success rises by .03 on the mean of five files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.features import NAMES
from classifier.head import Network, rising, softmax
from classifier.inputs import Inputs
from training.abilities import abilities, exact_name
from training.data import Matrix
from training.network import Progress, Recipe, Targets, fit_network
from training.tasks import KINDS, LEVELS, kind_of, level_targets, log_tokens

Floats = NDArray[np.floating[Any]]

FULL_EVIDENCE: Final = 3.0  # models that speak for a level until more add nothing to its weight
# Logits of success per deviation; .75 to 1 and -.3 to -.6 differ by .002 of mean AUROC.
PRIOR: Final = {"share_letters": 0.75, "log_stem": -0.4}
# The logit of triviality is fitted on noisy inputs and is therefore timid: of unseen trivial prompts nine in ten exceed
# -GATE_SHIFT, of ulab_llmrouter's questions, the shortest of all files', six in a thousand.
GATE_SLOPE: Final = 3.0
GATE_SHIFT: Final = 0.3
RECIPE: Final = Recipe(members=4, width=96, epochs=5, input_noise=0.5, decay=0.3)


def targets_of(train: Matrix) -> Targets:
    """What the network shall say of these questions; each file's models are placed on the common scale first."""
    levels, evidence = _levels_by_source(train)
    kinds = [kind_of(str(category)) for category in train.categories]
    tokens, known = log_tokens(train)
    return Targets(
        levels=levels,
        level_weights=np.minimum(evidence, FULL_EVIDENCE) / FULL_EVIDENCE,
        kinds=one_hot(np.array([0 if kind is None else kind for kind in kinds]), len(KINDS)),
        kind_weights=np.array([kind is not None for kind in kinds], np.float32),
        tokens=tokens,
        token_weights=known.astype(np.float32),
        heads=np.zeros((len(train), 1), np.float32),  # none is trivial
        head_weights=np.ones((len(train), 1), np.float32),
    )


def fit_levels(
    x: Floats,
    sources: NDArray[Any],
    targets: Targets,
    inputs: Inputs,
    *,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Network:
    """Fit on (n, D) inputs whose rows come from `sources` (n,); the prior is in it, the sources are out of it."""
    _, member = np.unique(sources.astype(str), return_inverse=True)
    wide = np.concatenate((x, one_hot(member, int(member.max()) + 1)), axis=1).astype(np.float32)
    network = fit_network(wide, targets, recipe, seed=seed, groups=inputs.sizes, progress=progress)
    return with_sharp_gate(with_prior(without_extra_inputs(network, x.shape[1]), inputs.sizes[0]))


def ease(network: Network, x: Floats) -> Floats:
    """(n,) the latent ease: mean logit of success over levels and members."""
    return rising(network.outputs_many(x)[:, :, : len(LEVELS)]).mean(axis=(1, 2))


def kind_shares(network: Network, x: Floats) -> Floats:
    """(n, K) probabilities of the kinds of task."""
    kinds = slice(len(LEVELS), len(LEVELS) + len(KINDS))
    return softmax(network.outputs_many(x)[:, :, kinds].mean(axis=1))


def without_extra_inputs(network: Network, inputs: int) -> Network:
    """The network on its first inputs only: the others stand at their means, where they contribute nothing."""
    return replace(
        network,
        shift=network.shift[:inputs],
        gain=network.gain[:inputs],
        hidden=network.hidden[:inputs],
        skip=network.skip[:inputs],
    )


def with_prior(network: Network, embedded: int) -> Network:
    """Each feature of the prior counts so many logits of success a deviation more, at all levels."""
    skip = network.skip.copy()
    for feature, logits in PRIOR.items():
        skip[embedded + NAMES.index(feature), 0] += logits
    return replace(network, skip=skip)


def with_sharp_gate(network: Network) -> Network:
    """The logit of triviality stretched and shifted."""
    out, skip, bias, gate = network.out.copy(), network.skip.copy(), network.bias.copy(), len(LEVELS) + len(KINDS) + 1
    out[:, :, gate] *= GATE_SLOPE
    skip[:, gate] *= GATE_SLOPE
    bias[:, gate] = GATE_SLOPE * (bias[:, gate] + GATE_SHIFT)
    return replace(network, out=out, skip=skip, bias=bias)


def one_hot(member: NDArray[np.intp], count: int) -> Floats:
    """(n, count) ones where each row's member is."""
    return (member[:, None] == np.arange(count)).astype(np.float32)


def _levels_by_source(train: Matrix) -> tuple[Floats, Floats]:
    levels = np.zeros((len(train), len(LEVELS)), np.float32)
    evidence = np.zeros_like(levels)
    measured = _measured(train)
    for source in np.unique(train.sources.astype(str)):
        rows = np.flatnonzero(train.sources == source)
        part = present(train.take(rows))
        able = abilities(part.models, part.means.tolist(), measured)
        levels[rows], evidence[rows] = level_targets(part.score, able)
    return levels, evidence


def _measured(train: Matrix) -> dict[str, float]:
    """Abilities by the training data's own MMLU-Pro results, per model name (an instructed model is not its base)."""
    rows = np.flatnonzero(train.sources == "mmlu_pro")
    if not rows.size:
        return {}
    part = present(train.take(rows))
    return dict(zip(map(exact_name, part.models), part.means.tolist(), strict=True))


def present(part: Matrix) -> Matrix:
    """Without the models that answered none of these queries."""
    there = np.flatnonzero(np.isfinite(part.score).any(axis=0))
    return part.pick([part.models[column] for column in there])


def stacked(parts: Sequence[Targets]) -> Targets:
    """Several parts' targets, one below the other."""
    names = Targets.__dataclass_fields__
    return Targets(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
