"""Learns on the data itself what a wrong mask looks like: mistakes planted into a copy of its masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from audit.checks.calibration import RATE, moved
from audit.checks.evidence import Evidence, Sample, gather
from audit.checks.habits import Habits, habits_of
from audit.checks.outline_traits import TRAITS, OutlineHabits, outline_candidates, outline_habits
from audit.checks.overlaps import drawn_masks, outlined
from audit.core.annotations import Annotations, comparable
from audit.core.boxes import area
from audit.core.findings import FindingType
from audit.core.table import FloatArray, IntArray
from audit.trust.learning import chance_of, fitted
from audit.trust.planting_masks import SOUND, MaskMistake, plant_masks
from audit.trust.prevalence import Witness, prevalence
from audit.trust.prior_masks import WEIGHTS

COUNTED = 1 / len(MaskMistake)
"""What a planted mistake counts: all kinds together are taken to be as frequent as one type of mistake of boxes."""
COST_FRAMES = 150
"""Frames whose masks are compared again, all repetitions together: bounds the cost."""
MOST_REPEATS = 4
FEWEST = 12
"""With fewer masks there is nothing to learn from."""
STRENGTH = 2.0
"""As for boxes: a standard deviation of a half."""
PRIOR: FloatArray = np.array([WEIGHTS.get(name, (0.0,) * len(MaskMistake)) for name in TRAITS]).T


class Example(NamedTuple):
    """A copy of the labels with mistakes planted into their masks.

    traits: (n, k) of the masks that were compared. mistake: (n,) what was done to each, a ``MaskMistake`` or
    ``SOUND``. planted: how many were spoilt, compared or not, of how many ``labels`` that have masks.
    """

    traits: FloatArray
    mistake: IntArray
    planted: int
    labels: int


@dataclass(frozen=True)
class OutlineKnowledge:
    """How well masks usually fit in this data, and how much each trait of a misfit tells.

    weights: (kinds, traits), of each ``MaskMistake`` against a sound mask. A worn mask and one that was cut have
    little in common: one line through all kinds tells each worse than its own. rate: the share of the masks that is
    taken to be wrong, which the weights' constants already hold; None if there was nothing to learn from.
    """

    habits: OutlineHabits
    weights: FloatArray
    rate: float | None = None

    def chance(self, traits: FloatArray) -> FloatArray:
        """(n,) that a mask is wrong in any way. traits: (n, k)."""
        return chance(traits, self.weights)


def chance(traits: FloatArray, weights: FloatArray) -> FloatArray:
    """(n,) that a mask is wrong in any way: of several kinds at once the odds against a sound one add up."""
    return chance_of(_log_odds(traits, weights))


def _log_odds(traits: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.exp(np.clip(traits @ weights.T, -30, 30)).sum(axis=1)))


def weights_of_kinds(
    traits: FloatArray, mistake: IntArray, importance: FloatArray, prior: FloatArray, strength: FloatArray
) -> FloatArray:
    """(kinds, k) weights, each kind learnt against the sound masks alone.

    Together they are nearly those of all kinds at once (Begg and Gray 1984, "Calculation of polychotomous logistic
    regression parameters using individualized regressions"). mistake: (n,) a ``MaskMistake`` or ``SOUND``.
    prior: (kinds, k). importance, strength: as in ``fitted``.
    """
    found = []
    for kind, before in zip(MaskMistake, prior, strict=True):
        of = np.flatnonzero((mistake == kind) | (mistake == SOUND))
        truth = (mistake[of] == kind).astype(np.float64)
        found.append(fitted(traits[of], truth, importance[of], before, strength))
    return np.array(found)


def study_outlines(
    evidence: Evidence, n_labels: int, habits: Habits, *, prior: FloatArray = PRIOR, learn: bool = True
) -> OutlineKnowledge:
    """Learn from evidence in which masks were compared; from the prior alone where there are none."""
    usual = outline_habits(evidence)
    if not learn or not len(evidence.outlines):
        return OutlineKnowledge(usual, prior)
    whole = (habits, usual) if evidence.sample.step > 1 else None
    parts = list(examples(evidence.sample, evidence.frame_hw, n_labels, whole))
    if not parts:
        return OutlineKnowledge(usual, prior)
    weights, a = adapted(parts, prior), evidence.annotations
    actual = outline_candidates(evidence, habits, usual).traits
    rate = estimated_rate(weights, parts, actual, int(outlined(a)[evidence.labels.row].sum()))
    return OutlineKnowledge(usual, moved(weights, rate), rate)


def estimated_rate(weights: FloatArray, parts: Sequence[Example], actual: FloatArray, labels: int) -> float:
    """The share of the masks that is wrong, as ``calibration.estimated`` has it of boxes.

    parts: what the weights were learnt from. actual: traits of the masks compared among so many labels as they are.
    """
    spoilt = np.concatenate([_log_odds(p.traits[p.mistake != SOUND], weights) for p in parts])
    witness = Witness(_log_odds(actual, weights), spoilt, sum(p.planted for p in parts))
    return prevalence({FindingType.LOW_OVERLAP: witness}, labels, RATE)[FindingType.LOW_OVERLAP]


def adapted(parts: Sequence[Example], prior: FloatArray = PRIOR) -> FloatArray:
    """The weights after some copies of the labels with mistakes planted; the prior's if there are none.

    What the prior takes for a mistake already counts less as an example of a sound mask, as for boxes.
    """
    if not parts:
        return prior
    traits, mistake = np.concatenate([p.traits for p in parts]), np.concatenate([p.mistake for p in parts])
    sound = (1 - chance(traits, prior)) ** 2
    importance = np.where(mistake == SOUND, sound, COUNTED) / len(parts)
    return weights_of_kinds(traits, mistake, importance, prior, np.full(prior.shape[1], STRENGTH))


def examples(
    sample: Sample, frame_hw: IntArray, n_labels: int, whole: tuple[Habits, OutlineHabits] | None, copies: int = 0
) -> Iterator[Example]:
    """Every compared mask in some copies of the sample with mistakes planted.

    whole: the habits of all the data; None to take them from each copy. copies: how many; 0 by the cost.
    """
    a = sample.annotations
    drawable = outlined(a) & comparable(a) & sample.judged & (area(a.xyxy) > 0) & (frame_hw[a.frame] > 0).all(axis=1)
    if drawable.sum() < FEWEST:
        return
    ours, others = np.flatnonzero(drawable), a[~drawable]
    masks = a[ours].replace(mask=drawn_masks(a, ours, frame_hw)[ours], points=None)
    copies = copies or min(MOST_REPEATS, max(1, COST_FRAMES // max(len(np.unique(a.frame)), 1)))
    for seed in range(copies):
        planted = plant_masks(masks, frame_hw, seed, RATE)
        together = Annotations.concat([planted.annotations, others])
        order = np.argsort(together.frame, kind="stable")
        mistake = np.concatenate([planted.mistake, np.full(len(others), SOUND)])[order]
        judged = np.concatenate([np.ones(len(planted.mistake), bool), sample.judged[~drawable]])[order]
        evidence = gather(together[order], sample.predictions, judged=judged, frame_hw=frame_hw, sampling=0)
        habits, usual = whole or (habits_of(evidence, n_labels), outline_habits(evidence))
        found = outline_candidates(evidence, habits, usual)
        planted_ones = int((planted.mistake != SOUND).sum())
        yield Example(found.traits, mistake[evidence.outlines.row], planted_ones, len(planted.mistake))
