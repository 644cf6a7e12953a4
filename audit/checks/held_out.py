"""Whether scores can be taken at their word: weights learnt on half of the frames judge the other half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.checks.calibration import Examples, Weights, examples, weights_from
from audit.checks.evidence import FLOOR
from audit.checks.tables import Sample
from audit.core.findings import FindingType
from audit.core.table import FloatArray, IntArray, Table, column
from audit.trust.learning import probability

COPIES = 2
"""Copies of each half with mistakes planted anew."""
MOST_FRAMES = 120
"""Frames looked at: this costs about as much as learning does."""


@dataclass(frozen=True, eq=False)
class HeldOut(Table):
    """Findings in copies of the labels with planted mistakes. type: a ``FindingType``. real: 1 for a planted one."""

    chance: FloatArray = column(np.float64, np.nan, required=True)
    real: FloatArray = column(np.float64, 0.0)
    type: IntArray = column(np.int64, -1)


def held_out(sample: Sample, frame_hw: IntArray, n_labels: int, prior: Weights, *, floor: float = FLOOR) -> HeldOut:
    """Chances that the weights of one half of the frames give to candidates on the other, and the truth.

    Only what was planted counts as real: mistakes that the labels hold besides make chances look too high.
    Neighbouring frames of a video fall in different halves, so there the halves are stretches in a row.
    """
    frames = np.unique(sample.annotations.frame)[:: max(1, len(np.unique(sample.annotations.frame)) // MOST_FRAMES)]
    halves = np.array_split(frames, 2)
    made = [list(examples(_only(sample, half), frame_hw, n_labels, None, COPIES)) for half in halves]
    if not all(made):
        return HeldOut()
    return HeldOut.concat(
        _judged(part, {kind: weights_from([p[kind] for p in others], before) for kind, before in prior.items()}, floor)
        for ours, others in (made, made[::-1])
        for part in ours
    )


def _judged(part: Examples, weights: Weights, floor: float) -> HeldOut:
    tables = []
    for kind, (traits, truth) in part.items():
        chance = probability(traits, weights[kind])
        kept = chance >= floor
        tables.append(HeldOut(chance=chance[kept], real=truth[kept], type=np.full(kept.sum(), FindingType(kind))))
    return HeldOut.concat(tables)


def _only(sample: Sample, frames: IntArray) -> Sample:
    ours, theirs = (np.flatnonzero(np.isin(t.frame, frames)) for t in (sample.annotations, sample.predictions))
    return Sample(sample.annotations[ours], sample.judged[ours], sample.predictions[theirs], sample.step)
