"""The second teacher: what reviewers said of some findings corrects the chances of all others.

A logistic regression on the log odds of the score, whose prior is "the score is right". Verdicts come from the
top of the ranking first, so what they tell of the bottom is little: the curve is tied at the top and may bend on
its way down, and the further down, the less certain it is until verdicts come from there too. Selection by
score, type and label needs no correction here, since the regression is conditional on just these.

Scores already hold how many labels of each type seem wrong (``prevalence``). What verdicts teach is added to that
in log odds: they correct what it left, a type's rate that it got wrong first of all.
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
AT_ONCE = 1 << 15
"""Findings whose chances are worked out in one go."""
FEWEST_OF_LABEL = 8
"""Verdicts from which on a label may differ from the others."""
MOST_LABELS = 40
"""Labels that may: those with most verdicts. It keeps a fit to some milliseconds."""
TAILS = 5.0
"""Degrees of freedom of Student's t by which weights are drawn: a normal one is too sure of the curve's form, and
whoever looks again and again whether it is time to stop will once look at the wrong moment. With a normal one a
quarter of the reviews of one set stopped short of the target, with this one in twenty (``scripts/bench stopping``)."""
FIXED = 1e8
"""One over the variance of what is not to be learnt."""


@dataclass(frozen=True)
class Doubt:
    """How far the truth may be from the scores: standard deviations, in log odds.

    shift: of all scores (mistakes may still be some times rarer here than scores take them to be). slope: of the
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
    """What has been learnt. weights: (k,) most probable, spread: (k, k) their covariance. verdicts: learnt from.

    types, labels: those that verdicts spoke of, and so may differ from the others; sorted.
    """

    weights: FloatArray
    spread: FloatArray
    types: IntArray
    labels: IntArray
    verdicts: int
    doubt: Doubt

    def chance(self, facts: Facts) -> FloatArray:
        """(n,) the corrected chances; the scores themselves before any verdict."""
        if not self.verdicts:
            return np.clip(np.nan_to_num(facts.score, nan=0.0), 0.0, 1.0)
        parts = [slice(i, i + AT_ONCE) for i in range(0, len(facts), AT_ONCE)]
        told = [probability(_columns(facts[p], self.types, self.labels), self.weights) for p in parts]
        return np.concatenate(told) if told else np.zeros(0)

    def draws(self, number: int, rng: np.random.Generator) -> Draws:
        """So many curves as they may truly be, drawn from what is believed of the weights."""
        away = rng.multivariate_normal(np.zeros(len(self.weights)), self.spread, number, method="cholesky")
        wide = np.sqrt(TAILS / rng.chisquare(TAILS, number))
        d = self.doubt
        unheard = rng.normal(size=(len(FindingType), number, 3)) * [d.type_shift, d.type_slope, d.type_bend]
        return Draws(self.weights + away * wide[:, None], unheard * wide[:, None], self)


@dataclass(frozen=True)
class Draws:
    """weights: (draws, k). unheard: (types, draws, 3) of types without a verdict: shift, slope and bend."""

    weights: FloatArray
    unheard: FloatArray
    learnt: Recalibration

    def chances(self, facts: Facts) -> FloatArray:
        """(draws, n)."""
        logits = self.weights @ _columns(facts, self.learnt.types, self.learnt.labels).T
        for kind in np.setdiff1d(facts.type, self.learnt.types).tolist():
            rows = np.flatnonzero(facts.type == kind)
            logits[:, rows] += self.unheard[kind] @ _of_type(_log_odds(facts.score[rows])).T
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))))


def learnt_from(facts: Facts, real: FloatArray, doubt: Doubt = CAUTIOUS) -> Recalibration:
    """Learn from verdicts. facts: of the findings judged, real: (n,) 1 where accepted, 0 where rejected."""
    known, times = np.unique(facts.label[facts.label >= 0], return_counts=True)
    often = np.argsort(-times, kind="stable")[:MOST_LABELS]
    labels = np.sort(known[often[times[often] >= FEWEST_OF_LABEL]])
    types = np.unique(facts.type)
    columns, truth = _columns(facts, types, labels), np.asarray(real, np.float64)
    strength = _strength(doubt, len(types), len(labels))
    identity = np.append(1.0, np.zeros(len(strength) - 1))
    weights = fitted(columns, truth, np.ones(len(truth)), identity, strength)
    p = probability(columns, weights)
    curvature = (columns * (p * (1 - p))[:, None]).T @ columns + np.diag(strength)
    return Recalibration(weights, np.linalg.inv(curvature), types, labels, len(facts), doubt)


def _strength(d: Doubt, types: int, labels: int) -> FloatArray:
    common = [(d.shift, 1), (d.slope, 1), (d.bend, len(BENDS))]
    of_type = [(d.type_shift, types), (d.type_slope, types), (d.type_bend, types)]
    deviation = np.concatenate([np.full(times, s) for s, times in [*common, *of_type, (d.label_shift, labels)]])
    return np.append(FIXED, deviation**-2)


def _log_odds(score: FloatArray) -> FloatArray:
    p = np.clip(np.nan_to_num(score, nan=0.0), 1e-9, 1 - 1e-9)
    return np.asarray(np.clip(np.log(p / (1 - p)), -FARTHEST, FARTHEST))


def _of_type(z: FloatArray) -> FloatArray:
    """(n, 3) what a type's shift, slope and bend act on."""
    return np.column_stack([np.ones(len(z)), np.maximum(TOP - z, 0), np.maximum(-z, 0)])


def _columns(facts: Facts, types: IntArray, labels: IntArray) -> FloatArray:
    z = _log_odds(facts.score)
    one, down, middle = _of_type(z).T
    common = [z, one, down, *(np.maximum(b - z, 0) for b in BENDS)]
    kinds = [facts.type == kind for kind in types.tolist()]
    own = [is_kind * on for on in (one, down, middle) for is_kind in kinds]
    return np.column_stack([*common, *own, *(facts.label == label for label in labels.tolist())])
