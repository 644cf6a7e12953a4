"""Which names a model takes for one another: learnt from its own predictions, no label needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.annotations import Predictions
from audit.core.boxes import pairs_within
from audit.core.table import FloatArray, IntArray

KIN_IOU = 0.6
"""Predictions of two names that overlap more are two opinions on one object."""
ENOUGH = 5000
"""About this many predictions, of evenly spread frames, tell; more only take time."""
DOUBT = 0.5
"""Support that is added to a name's own: of a name predicted once or twice little is known."""


@dataclass(frozen=True)
class Kinship:
    """Pairs of names that are predicted on one object. pair: name × names + name, ascending; share: in [0, 1]."""

    names: int
    pair: IntArray
    share: FloatArray

    def of(self, one: IntArray, other: IntArray) -> FloatArray:
        """(n,) support for both on one object, as a share of the rarer's support; 0 for those never met."""
        if not len(self.pair):
            return np.zeros(len(one))
        known = np.maximum(one, other) < self.names
        wanted = np.minimum(one, other) * self.names + np.maximum(one, other)
        place = np.minimum(np.searchsorted(self.pair, wanted), len(self.pair) - 1)
        return np.where(known & (self.pair[place] == wanted), self.share[place], 0.0)


NO_KIN = Kinship(1, np.zeros(0, np.int64), np.zeros(0))


def kinship(predictions: Predictions) -> Kinship:
    """Which names the model takes for one another, from its own predictions, sorted by frame."""
    if not len(predictions):
        return NO_KIN
    step = -(-len(predictions) // ENOUGH)
    p = predictions if step == 1 else predictions[predictions.frame % step == predictions.frame[0] % step]
    names = int(p.label.max()) + 1
    pairs = pairs_within(p.xyxy, p.frame)
    pairs = pairs[(pairs.iou >= KIN_IOU) & (p.label[pairs.left] != p.label[pairs.right])]
    ends = np.sort(np.column_stack([p.label[pairs.left], p.label[pairs.right]]), axis=1)
    met, which = np.unique(ends[:, 0] * names + ends[:, 1], return_inverse=True)
    weight = np.minimum(p.score[pairs.left], p.score[pairs.right])
    support = np.bincount(p.label, weights=p.score, minlength=names)
    rarer = np.minimum(support[met // names], support[met % names])
    both = np.bincount(which, weights=weight, minlength=len(met))
    return Kinship(names, met, np.clip(both / (rarer + DOUBT), 0, 1))
