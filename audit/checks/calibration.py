"""Learns on the data itself how likely each kind of finding is real: mistakes planted into a copy of its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audit.checks.box_traits import TRAITS as LOW_OVERLAP_TRAITS
from audit.checks.box_traits import box_candidates
from audit.checks.duplicate import TRAITS as DUPLICATE_TRAITS
from audit.checks.duplicate import duplicate_candidates
from audit.checks.evidence import Evidence, Sample, gather
from audit.checks.extra import TRAITS as EXTRA_TRAITS
from audit.checks.extra import extra_candidates
from audit.checks.habits import Habits, habits_of
from audit.checks.kinship import Kinship, kinship
from audit.checks.mismatching_label import TRAITS as MISMATCHING_LABEL_TRAITS
from audit.checks.mismatching_label import mismatching_label_candidates
from audit.checks.missing import TRAITS as MISSING_TRAITS
from audit.checks.missing import missing_candidates
from audit.checks.tables import Look
from audit.checks.traits import Candidates
from audit.core.annotations import Annotations, comparable
from audit.core.boxes import area, overlapping_pairs
from audit.core.findings import FindingType
from audit.core.table import BoolArray, FloatArray, IntArray, present
from audit.trust.learning import fitted, probability
from audit.trust.planting import SOUND, Planted, number_planted, plant
from audit.trust.prevalence import Witness, prevalence, shift

RATE = 0.05
"""Share of the annotations that each kind of mistake is planted into, and taken to have hit until more is known."""
COST_FRAMES = 500
"""Labelled frames, all repetitions together: bounds the cost. A larger task is its own repetition."""
MOST_REPEATS = 32
"""More copies of a small task tell little that is new; with fewer, scores hang on where mistakes happened to fall."""
COUNTED_FRAMES = 1000
"""Frames whose likely mistakes are added up to estimate how many there are."""
FEWEST = 5
"""With fewer labels there is nothing to learn from."""
STRENGTH = 2.0
"""One over the variance of a weight about its prior: a standard deviation of a half."""

Examples = dict[FindingType, tuple[FloatArray, FloatArray]]
Weights = Mapping[FindingType, FloatArray]
CANDIDATES: dict[FindingType, Callable[[Evidence, Habits], Candidates]] = {
    FindingType.MISSING_ANNOTATION: missing_candidates,
    FindingType.LOW_OVERLAP: box_candidates,
    FindingType.MISMATCHING_LABEL: mismatching_label_candidates,
    FindingType.EXTRA_ANNOTATION: extra_candidates,
    FindingType.DUPLICATE_ANNOTATION: duplicate_candidates,
}
TRAITS: dict[FindingType, tuple[str, ...]] = {
    FindingType.MISSING_ANNOTATION: MISSING_TRAITS,
    FindingType.LOW_OVERLAP: LOW_OVERLAP_TRAITS,
    FindingType.MISMATCHING_LABEL: MISMATCHING_LABEL_TRAITS,
    FindingType.EXTRA_ANNOTATION: EXTRA_TRAITS,
    FindingType.DUPLICATE_ANNOTATION: DUPLICATE_TRAITS,
}
"""What each column of the traits is called, in their order."""


def candidates(evidence: Evidence, habits: Habits) -> dict[FindingType, Candidates]:
    """Per type that needs a score: what may become a finding."""
    return {kind: of(evidence, habits) for kind, of in CANDIDATES.items()}


@dataclass(frozen=True)
class Learnt:
    """What planted mistakes taught. weights: of each type's traits. rates: the share of the labels that is taken to be
    wrong in each way, which the weights' constants already hold; empty where there was nothing to learn from."""

    weights: Weights
    rates: Mapping[FindingType, float] = field(default_factory=dict)


def learnt(evidence: Evidence, n_labels: int, habits: Habits, prior: Weights) -> Learnt:
    """The weights of each type's traits for this data, starting from the prior ones.

    The labels hold real mistakes beside the planted ones. What the prior takes for a mistake already
    therefore counts less as an example of a sound label: by the square of the chance that it is one (the
    chance alone left scores too low where a few labels held many mistakes). How many there are of each type is
    estimated at the end, and the scores are shifted by that (``audit.trust.prevalence``).
    """
    sample = evidence.sample
    frames = len(np.unique(sample.annotations.frame)) * sample.step
    copies = min(MOST_REPEATS, max(1, COST_FRAMES // max(frames, 1)))
    usual = habits if sample.step > 1 else None
    parts = list(examples(sample, evidence.frame_hw, n_labels, usual, copies, habits.kin))
    if not parts:
        return Learnt(prior)
    weights = {kind: weights_from([p[kind] for p in parts], before) for kind, before in prior.items()}
    some = _some_frames(evidence)
    actual = {kind: found.traits for kind, found in candidates(some, habits).items()}
    rates = estimated(weights, parts, int(usable(sample).sum()), actual, len(some.labels))
    return Learnt({kind: moved(w, rates[kind]) for kind, w in weights.items()}, rates)


def _some_frames(evidence: Evidence) -> Evidence:
    """Every k-th frame's labels, pairs of labels and predictions without one, of about ``COUNTED_FRAMES`` frames."""
    step = max(1, len(evidence.frame_hw) // COUNTED_FRAMES)
    if step == 1:
        return evidence
    twins, frame = evidence.twins, evidence.annotations.frame
    return replace(
        evidence,
        labels=evidence.labels[evidence.labels.frame % step == 0],
        unexplained=evidence.unexplained[evidence.unexplained.frame % step == 0],
        twins=twins[frame[twins.left] % step == 0],
    )


def estimated(
    weights: Weights,
    parts: Sequence[Examples],
    planted_among: int,
    actual: Mapping[FindingType, FloatArray],
    labels: int,
) -> dict[FindingType, float]:
    """The share of the labels that is wrong in each way.

    parts: what the weights were learnt from, planted_among: the labels of each. actual: traits of the candidates among
    the labels as they are, of which there are so many.
    """
    plantings = len(parts) * number_planted(planted_among, RATE)
    witnesses = {}
    for kind, traits in actual.items():
        planted = np.concatenate([p[kind][0][p[kind][1] > 0] for p in parts])
        witnesses[kind] = Witness(traits @ weights[kind], planted @ weights[kind], plantings)
    return prevalence(witnesses, labels, RATE)


def moved(weights: FloatArray, rate: float) -> FloatArray:
    """The weights (..., k) of one type for data where mistakes are that frequent; the first is the constant's."""
    return np.asarray(weights + shift(rate, RATE) * (np.arange(weights.shape[-1]) == 0))


def weights_from(parts: Sequence[tuple[FloatArray, FloatArray]], prior: FloatArray) -> FloatArray:
    """The weights of one type's traits from traits and truth in some copies of the labels, starting from the prior."""
    traits, truth = (np.concatenate([p[i] for p in parts]) for i in range(2))
    sound = (1 - probability(traits, prior)) ** 2
    # repetitions plant anew, but in the same labels: together they count as one
    importance = np.where(truth > 0, 1.0, sound) / len(parts)
    return fitted(traits, truth, importance, prior, np.full(len(prior), STRENGTH))


def examples(
    sample: Sample,
    frame_hw: IntArray,
    n_labels: int,
    habits: Habits | None,
    copies: int = MOST_REPEATS,
    kin: Kinship | None = None,
) -> Iterator[Examples]:
    """Traits and truth of every candidate in some copies of the sample with mistakes planted.

    habits: those of the whole, or None to take them from each copy (right when the sample is the whole).
    kin: if known already; else from the sample's predictions.
    """
    order = np.lexsort([sample.annotations.annotation_id, sample.annotations.frame])  # not that of the file
    a = sample.annotations[order]
    wanted = usable(sample)[order]
    if wanted.sum() < FEWEST:
        return
    kin = kinship(sample.predictions) if kin is None else kin
    masks = bool(present(sample.predictions.mask).any())
    plantings = (plant(a[wanted], frame_hw, seed, RATE, outlines=masks) for seed in range(copies))
    for planted in plantings if sample.look is None else _looked_at(plantings, sample.look):
        yield _examples(planted, a[~wanted], sample, frame_hw, n_labels, habits or kin)


def _looked_at(plantings: Iterable[Planted], look: Look) -> list[Planted]:
    """All of them, after one look at each picture for all together: what was seen is kept."""
    every = list(plantings)
    look(*(np.concatenate([getattr(p.annotations, column) for p in every]) for column in ("frame", "xyxy")))
    return every


def usable(sample: Sample) -> BoolArray:
    """(annotations,) which mistakes can be planted into."""
    a = sample.annotations
    return np.asarray(sample.judged & comparable(a) & (area(a.xyxy) > 0))


def _examples(
    planted: Planted,
    others: Annotations,
    sample: Sample,
    frame_hw: IntArray,
    n_labels: int,
    known: Habits | Kinship,
) -> Examples:
    together = Annotations.concat([planted.annotations, others])
    order = np.argsort(together.frame, kind="stable")
    mistake = np.concatenate([planted.mistake, np.full(len(others), SOUND)])[order]
    original = np.concatenate([planted.original, np.full(len(others), -2)])[order]
    judged = (np.arange(len(together)) < len(planted.annotations))[order]
    evidence = gather(
        together[order],
        sample.predictions,
        judged=judged,
        frame_hw=frame_hw,
        sampling=0,
        outlines=False,
        look=sample.look,
    )
    habits = habits_of(evidence, n_labels, known) if isinstance(known, Kinship) else known
    found = candidates(evidence, habits)
    made, t = mistake[evidence.labels.row], evidence.twins
    hits: dict[FindingType, BoolArray] = {
        kind: made[found[kind].rows] == kind
        for kind in (FindingType.LOW_OVERLAP, FindingType.MISMATCHING_LABEL, FindingType.EXTRA_ANNOTATION)
    }
    copied = (mistake[t.left] == FindingType.DUPLICATE_ANNOTATION) | (
        mistake[t.right] == FindingType.DUPLICATE_ANNOTATION
    )
    hits[FindingType.DUPLICATE_ANNOTATION] = copied & (original[t.left] == original[t.right])
    hits[FindingType.MISSING_ANNOTATION] = _are_dropped(evidence, planted.dropped)
    return {kind: (c.traits, hits[kind].astype(np.float64)) for kind, c in found.items()}


def _are_dropped(evidence: Evidence, dropped: Annotations) -> BoolArray:
    """(unexplained,) whether each is the place and name of an annotation that was left out."""
    u = evidence.unexplained
    order = np.argsort(u.frame, kind="stable")
    lost = np.argsort(dropped.frame, kind="stable")
    pairs = overlapping_pairs(u.xyxy[order], u.frame[order], dropped.xyxy[lost], dropped.frame[lost])
    same = u.label[order[pairs.left]] == dropped.label[lost[pairs.right]]
    found = np.zeros(len(u), bool)
    found[order[pairs.left[same & (pairs.iou >= 0.5)]]] = True
    return found
