"""Learns on the data itself what a wrong mask looks like: mistakes planted into a copy of its masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.checks.evidence import Evidence, Sample, gather
from audit.checks.habits import Habits, habits_of
from audit.checks.outline_traits import TRAITS, OutlineHabits, outline_candidates, outline_habits
from audit.checks.overlaps import drawn_masks, outlined
from audit.core.annotations import Annotations, comparable
from audit.core.boxes import area
from audit.core.table import FloatArray, IntArray
from audit.trust.learning import fitted, probability
from audit.trust.planting_masks import SOUND, MaskMistake, plant_masks
from audit.trust.prior_masks import WEIGHTS

RATE = 0.05
"""Share of the masks that each of six kinds of mistake is planted into."""
COUNTED = 1 / len(MaskMistake)
"""What a planted mistake counts: all kinds together are taken to be as frequent as one type of mistake of boxes."""
COST_FRAMES = 150
"""Frames whose masks are compared again, all repetitions together: bounds the cost."""
MOST_REPEATS = 4
FEWEST = 12
"""With fewer masks there is nothing to learn from."""
STRENGTH = 2.0
"""As for boxes: a standard deviation of a half."""
PRIOR: FloatArray = np.array([WEIGHTS.get(name, 0.0) for name in TRAITS])


@dataclass(frozen=True)
class OutlineKnowledge:
    """How well masks usually fit in this data, and how much each trait of a misfit tells."""

    habits: OutlineHabits
    weights: FloatArray


def study_outlines(
    evidence: Evidence, n_labels: int, habits: Habits, *, prior: FloatArray = PRIOR, learn: bool = True
) -> OutlineKnowledge:
    """Learn from evidence in which masks were compared; from the prior alone where there are none.

    What the prior takes for a mistake already counts less as an example of a sound mask, as for boxes.
    """
    usual = outline_habits(evidence)
    if not learn or not len(evidence.outlines):
        return OutlineKnowledge(usual, prior)
    whole = (habits, usual) if evidence.sample.step > 1 else None
    parts = list(examples(evidence.sample, evidence.frame_hw, n_labels, whole))
    if not parts:
        return OutlineKnowledge(usual, prior)
    traits, truth = (np.concatenate([p[i] for p in parts]) for i in range(2))
    sound = (1 - probability(traits, prior)) ** 2
    importance = np.where(truth > 0, COUNTED, sound) / len(parts)
    return OutlineKnowledge(usual, fitted(traits, truth, importance, prior, np.full(len(prior), STRENGTH)))


def examples(
    sample: Sample, frame_hw: IntArray, n_labels: int, whole: tuple[Habits, OutlineHabits] | None, copies: int = 0
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Traits and truth of every compared mask in some copies of the sample with mistakes planted.

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
        yield found.traits, (mistake[evidence.outlines.row] != SOUND).astype(np.float64)
