"""What else is in the frame: objects come in company, and a name that nothing else in the picture shares is odd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.checks.tables import Scenes
from audit.core.annotations import Annotations, Predictions
from audit.core.boxes import area
from audit.core.table import FloatArray, IntArray

SHOWN = 0.3
"""A name that is predicted below this, and not labelled, is not taken for something that the frame shows."""
LABELLED = 0.8
"""What a label's name counts at least, as if it had been predicted with this score: labels may be wrong."""


@dataclass(frozen=True)
class Surroundings:
    """Of the frames of one block: how many labels of each name, and how surely each name is predicted anywhere,
    and the area of the smallest label.

    count, top, least: (frames × names,) of frame ``first`` and on; ``names`` is how many names there are.
    """

    first: int
    names: int
    count: IntArray
    top: FloatArray
    least: FloatArray

    def labels(self, frame: IntArray, name: IntArray) -> IntArray:
        """(n,) labels of this name in this frame; 0 for no name (-1)."""
        return np.where(name >= 0, self.count[self._place(frame, name)], 0)

    def predicted(self, frame: IntArray, name: IntArray) -> FloatArray:
        """(n,) the highest score with which this name is predicted anywhere in this frame; 0 for no name."""
        return np.where(name >= 0, self.top[self._place(frame, name)], 0.0)

    def smallest(self, frame: IntArray, name: IntArray) -> FloatArray:
        """(n,) side in pixels of the smallest label of this name in this frame; NaN where there is none."""
        least = np.sqrt(self.least[self._place(frame, name)])
        return np.where((name >= 0) & np.isfinite(least), least, np.nan)

    def all_labels(self, frame: IntArray) -> IntArray:
        """(n,) labels in this frame."""
        return np.asarray(self.count.reshape(-1, self.names).sum(axis=1)[frame - self.first])

    def scenes(self) -> Scenes:
        """What each frame shows."""
        shown = np.flatnonzero((self.top >= SHOWN) | (self.count > 0))
        weight = np.where(self.count[shown] > 0, np.maximum(self.top[shown], LABELLED), self.top[shown])
        return Scenes(frame=self.first + shown // self.names, label=shown % self.names, weight=weight)

    def _place(self, frame: IntArray, name: IntArray) -> IntArray:
        return np.asarray((frame - self.first) * self.names + name)


def surroundings(labels: Annotations, predictions: Predictions) -> Surroundings:
    """Both sorted by frame."""
    ends = [t.frame[[0, -1]] for t in (labels, predictions) if len(t)]
    first, last = (min(e[0] for e in ends), max(e[1] for e in ends)) if ends else (0, 0)
    names = 1 + max(int(t.label.max(initial=0)) for t in (labels, predictions))
    size = int(last - first + 1) * names
    named = labels.label >= 0
    place = ((labels.frame - first) * names + labels.label)[named]
    count = np.bincount(place, minlength=size)
    least = np.full(size, np.inf)
    np.minimum.at(least, place, area(labels.xyxy)[named])
    top = np.zeros(size)
    np.maximum.at(top, (predictions.frame - first) * names + predictions.label, predictions.score)
    return Surroundings(int(first), names, count, top, least)
