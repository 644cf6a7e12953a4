"""The second teacher: what reviewers said of some findings corrects the chances of all others.

A logistic regression on the log odds of the score, whose prior is "the score is right". Verdicts come from the
top of the ranking first, so what they tell of the bottom is little: the curve is tied at the top and may bend on
its way down, and the further down, the less certain it is until verdicts come from there too. Selection by
score, type and label needs no correction here, since the regression is conditional on just these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray, Table, column
from audit.trust.learning import fitted, probability

TOP = 3.0
"""Log odds (a chance of 95 %) from which downwards the curve may bend."""
BENDS = (1.4, 0.4, -0.5, -1.4)
"""Log odds of further bends: chances of 80, 60, 38 and 20 %."""
FARTHEST = 6.0
"""Log odds beyond which scores are not told apart: chances of 0.25 and 99.75 %."""
FEWEST_OF_LABEL = 5
"""Verdicts from which on a label may differ from the others."""


@dataclass(frozen=True)
class Doubt:
    """How far the truth may be from the scores: standard deviations, in log odds.

    shift: of all scores (mistakes may be many times rarer here than where the scores were learnt). slope: of the
    curve below ``TOP``, bend: at each further bend. type_*: the same of one type beside the others.
    label_shift: of one label.
    """

    shift: float
    slope: float
    bend: float
    type_shift: float
    type_slope: float
    type_bend: float
    label_shift: float


CAUTIOUS = Doubt(0.8, 0.05, 0.08, 0.4, 0.07, 0.07, 0.4)
"""For one chance each: a few verdicts at the top must not overthrow the bottom."""
OPEN = Doubt(2.0, 0.3, 0.45, 0.7, 0.2, 0.25, 0.5)
"""For intervals: what is not known must not be taken for known. Both were chosen on simulated audits
(``scripts/bench stopping``): with CAUTIOUS in place of OPEN intervals held the truth too seldom where scores
mislead, with OPEN in place of CAUTIOUS chances got worse where scores were right."""
FIXED = 1e8
"""One over the variance of what is not to be learnt."""


@dataclass(frozen=True, eq=False)
class Facts(Table):
    """What a chance depends on. score: in [0, 1]. type: a ``FindingType``. label: of the shape, else the proposed."""

    score: FloatArray = column(np.float64, np.nan, required=True)
    type: IntArray = column(np.int64, -1, required=True)
    label: IntArray = column(np.int64, -1)


def facts_of(findings: Findings) -> Facts:
    """The facts of these findings, row by row."""
    label = np.where(findings.label >= 0, findings.label, findings.suggested_label)
    return Facts(score=findings.score, type=findings.type, label=label)


@dataclass(frozen=True)
class Recalibration:
    """What has been learnt. weights: (k,) most probable, for chances. centre: (k,), spread: (k, k) for intervals.

    labels: with a shift of their own. verdicts: how many were learnt from.
    """

    weights: FloatArray
    centre: FloatArray
    spread: FloatArray
    labels: IntArray
    verdicts: int

    def chance(self, facts: Facts) -> FloatArray:
        """(n,) the corrected chances; the scores themselves before any verdict."""
        if not self.verdicts:
            return np.clip(np.nan_to_num(facts.score, nan=0.0), 0.0, 1.0)
        return probability(_columns(facts, self.labels), self.weights)

    def draws(self, facts: Facts, number: int, rng: np.random.Generator) -> FloatArray:
        """(number, n) chances as they may truly be, drawn from what is believed of the weights."""
        drawn = rng.multivariate_normal(self.centre, self.spread, number, method="cholesky")
        logits = drawn @ _columns(facts, self.labels).T
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))))


def learnt_from(facts: Facts, real: FloatArray) -> Recalibration:
    """Learn from verdicts. facts: of the findings judged, real: (n,) 1 where accepted, 0 where rejected."""
    known, times = np.unique(facts.label[facts.label >= 0], return_counts=True)
    labels = known[times >= FEWEST_OF_LABEL]
    columns, truth = _columns(facts, labels), np.asarray(real, np.float64)
    weights, _ = _most_probable(columns, truth, CAUTIOUS, len(labels))
    centre, strength = _most_probable(columns, truth, OPEN, len(labels))
    p = probability(columns, centre)
    curvature = (columns * (p * (1 - p))[:, None]).T @ columns + np.diag(strength)
    return Recalibration(weights, centre, np.linalg.inv(curvature), labels, len(facts))


def _most_probable(columns: FloatArray, truth: FloatArray, doubt: Doubt, labels: int) -> tuple[FloatArray, FloatArray]:
    """The weights (k,), and one over the variance that the prior gives each."""
    strength = _strength(doubt, labels)
    identity = np.append(1.0, np.zeros(len(strength) - 1))
    return fitted(columns, truth, np.ones(len(truth)), identity, strength), strength


def _strength(d: Doubt, labels: int) -> FloatArray:
    n = len(FindingType)
    common = [(d.shift, 1), (d.slope, 1), (d.bend, len(BENDS))]
    of_type = [(d.type_shift, n), (d.type_slope, n), (d.type_bend, n)]
    deviation = np.concatenate([np.full(times, s) for s, times in [*common, *of_type, (d.label_shift, labels)]])
    return np.append(FIXED, deviation**-2)


def _columns(facts: Facts, labels: IntArray) -> FloatArray:
    p = np.clip(np.nan_to_num(facts.score, nan=0.0), 1e-9, 1 - 1e-9)
    z = np.clip(np.log(p / (1 - p)), -FARTHEST, FARTHEST)
    down, bends = np.maximum(TOP - z, 0), [np.maximum(b - z, 0) for b in BENDS]
    of_type = facts.type[:, None] == np.arange(len(FindingType))
    middle = np.maximum(-z, 0)
    of_label = facts.label[:, None] == labels
    common = np.column_stack([z, np.ones(len(z)), down, *bends])
    return np.hstack([common, of_type, of_type * down[:, None], of_type * middle[:, None], of_label])
