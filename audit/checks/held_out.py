"""Whether scores can be taken at their word: weights learnt on half of the frames judge the other half."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from audit.checks.calibration import RATE, Examples, Weights, estimated, examples, moved, usable, weights_from
from audit.checks.evidence import FLOOR
from audit.checks.outline_learning import Example, adapted, chance, estimated_rate
from audit.checks.outline_learning import examples as outline_examples
from audit.checks.tables import Sample
from audit.core.findings import FindingType
from audit.core.table import FloatArray, IntArray, Table, column, present
from audit.trust.learning import probability
from audit.trust.planting import number_planted
from audit.trust.planting_masks import SOUND, MaskMistake
from audit.trust.prior_pictures import with_pictures

COPIES = 2
"""Copies of each half with mistakes planted anew."""
MOST_FRAMES = 120
"""Frames looked at: this costs about as much as learning does."""


@dataclass(frozen=True, eq=False)
class HeldOut(Table):
    """Findings in copies of the labels with planted mistakes. type: a ``FindingType``. real: 1 for a planted one.

    stands_for: how many mistakes a planted one of its type stands for, as far as the labels seem to hold others.
    """

    chance: FloatArray = column(np.float64, np.nan, required=True)
    real: FloatArray = column(np.float64, 0.0)
    type: IntArray = column(np.int64, -1)
    stands_for: FloatArray = column(np.float64, 1.0)


def held_out(sample: Sample, frame_hw: IntArray, n_labels: int, prior: Weights, *, floor: float = FLOOR) -> HeldOut:
    """Chances that one half of the frames teaches to give to candidates on the other, and the truth.

    How many mistakes there are is estimated on each copy anew, as it is on labels as they are, though the planted
    ones are known. Only what was planted is known to be real; how many mistakes the labels hold besides is told
    by that estimate. Neighbouring frames of a video fall in different halves, so there the halves are stretches
    in a row.
    """
    prior = prior if sample.look is None else with_pictures(prior)
    frames = np.unique(sample.annotations.frame)[:: max(1, len(np.unique(sample.annotations.frame)) // MOST_FRAMES)]
    halves = [_half(_only(sample, half), frame_hw, n_labels) for half in np.array_split(frames, 2)]
    if not all(half.copies for half in halves):
        return HeldOut()
    return HeldOut.concat(
        part
        for ours, others in (halves, halves[::-1])
        for copy, masks in zip_longest(ours.copies, ours.masks)
        for part in _judged(copy, masks, ours.labels, others, prior, floor)
    )


@dataclass(frozen=True)
class _Half:
    """Half of the frames. copies: with mistakes planted, masks: into masks. labels: that these were planted into."""

    copies: list[Examples]
    masks: list[Example]
    labels: int


def _half(sample: Sample, frame_hw: IntArray, n_labels: int) -> _Half:
    copies = list(examples(sample, frame_hw, n_labels, None, COPIES))
    compared = present(sample.predictions.mask).any()
    masks = list(outline_examples(sample, frame_hw, n_labels, None, COPIES)) if compared else []
    return _Half(copies, masks, int(usable(sample).sum()))


def _judged(
    copy: Examples, masks: Example | None, labels: int, others: _Half, prior: Weights, floor: float
) -> Iterator[HeldOut]:
    """Candidates of one copy by what the other half's copies teach."""
    weights = {kind: weights_from([p[kind] for p in others.copies], before) for kind, before in prior.items()}
    seen = {kind: traits for kind, (traits, _) in copy.items()}
    rates = estimated(weights, others.copies, others.labels, seen, labels)
    for kind, (traits, truth) in copy.items():
        chances = probability(traits, moved(weights[kind], rates[kind]))
        yield _kept(chances, truth, kind, floor, rates[kind] / _planted_share(labels))
    if masks is not None:
        traits, truth = _as_frequent_as_assumed(masks.traits, masks.mistake)
        judge = adapted(others.masks)
        rate = estimated_rate(judge, others.masks, traits, masks.labels)
        each = rate / _planted_share(masks.labels)
        yield _kept(chance(traits, moved(judge, rate)), truth, FindingType.LOW_OVERLAP, floor, each)


def _planted_share(labels: int) -> float:
    """Mistakes of one type that are planted among so many labels, as a share of them."""
    return number_planted(labels, RATE) / max(labels, 1)


def _as_frequent_as_assumed(traits: FloatArray, mistake: IntArray) -> tuple[FloatArray, FloatArray]:
    """Every sound mask, and so many of the spoilt ones as count as one type of mistake; 1 for these."""
    spoilt = np.flatnonzero(mistake != SOUND)[:: len(MaskMistake)]
    rows = np.union1d(np.flatnonzero(mistake == SOUND), spoilt)
    return traits[rows], (mistake[rows] != SOUND).astype(np.float64)


def _kept(chances: FloatArray, truth: FloatArray, kind: FindingType, floor: float, stands_for: float) -> HeldOut:
    kept = chances >= floor
    many = np.full(kept.sum(), max(stands_for, 1.0))
    return HeldOut(chance=chances[kept], real=truth[kept], type=np.full(len(many), FindingType(kind)), stands_for=many)


def _only(sample: Sample, frames: IntArray) -> Sample:
    ours, theirs = (np.flatnonzero(np.isin(t.frame, frames)) for t in (sample.annotations, sample.predictions))
    return Sample(sample.annotations[ours], sample.judged[ours], sample.predictions[theirs], sample.step, sample.look)
