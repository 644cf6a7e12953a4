"""Which names keep company: a fork among giraffes is odd, on a table it is not.

Counted in this data alone, by labels and predictions together. Of a label's name and another one in its frame:
how much more often the two are met in one frame than if they had nothing to do with each other, as a logarithm
(Church, Hanks 1990, "Word association norms, mutual information, and lexicography").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.checks.tables import LabelEvidence, Scenes
from audit.core.table import FloatArray, IntArray

UNSEEN = 0.05
"""Labels whose own name has more support are where they should be, whatever is beside them."""
DOUBT = 0.1
"""Frames, met and expected, that are added to both: of names seen once or twice little is known."""
LONELY = 0.3
"""Added to the weight of the others in a frame: one faint companion says little."""
ENOUGH = 50_000
"""Pairs of names in one frame that are counted; of more frames than hold these every second, third ... is left out."""
MOST_NAMES = 2000
"""Of more names the most frequent are counted; a table of all pairs would not fit."""


@dataclass(frozen=True)
class Company:
    """place: row of each name in the tables, and of any name beyond; the last row for those not counted.

    frames: how many were counted. alone: (rows,) summed weights of each name in them. together: (rows × rows,)
    summed products of two in one frame.
    """

    place: IntArray
    frames: int
    alone: FloatArray
    together: FloatArray

    def fit(self, e: LabelEvidence, scenes: Scenes) -> FloatArray:
        """(n,) how well each label's name goes with the others in its frame: above 0 if they are often met together.

        What the frame itself counts for is taken off. 0 for labels that the model sees. scenes: of their frames.
        """
        unseen = np.flatnonzero(e.own_support < UNSEEN)
        label, total, n = e.label.take(unseen), np.zeros(len(e)), len(unseen)
        which, entry = all_of_frame(e.frame.take(unseen), scenes.frame)
        own = scenes.label.take(entry) == label.take(which)
        mine = np.bincount(which[own], scenes.weight.take(entry[own]), n)
        others = np.flatnonzero(~own)
        which, entry = which.take(others), entry.take(others)
        weight, mine = scenes.weight.take(entry), mine.take(which)
        row, other = self._row(label).take(which), self._row(scenes.label).take(entry)
        met = np.maximum(self.together.take(row * len(self.alone) + other) - mine * weight, 0) + DOUBT
        rest = np.maximum(self.alone.take(other) - weight, 0) / max(self.frames, 1)
        expected = np.maximum(self.alone.take(row) - mine, 0) * rest + DOUBT
        gain, weights = (np.bincount(which, w, n) for w in (np.log(met / expected) * weight, weight))
        total[unseen] = gain / np.sqrt(weights + LONELY)
        return total

    def _row(self, label: IntArray) -> IntArray:
        return self.place.take(np.minimum(label, len(self.place) - 1))


NO_COMPANY = Company(np.zeros(1, np.int64), 0, np.zeros(1), np.zeros(1))


def company(scenes: Scenes) -> Company:
    """Counts of all frames, or of enough of them."""
    scenes, frames = _enough(scenes)
    usual = np.bincount(scenes.label, weights=scenes.weight)
    counted = np.sort(np.argsort(-usual, kind="stable")[: min(MOST_NAMES, np.count_nonzero(usual))])
    rows = len(counted) + 1
    place = np.full(len(usual) + 1, rows - 1)
    place[counted] = np.arange(rows - 1)
    row, weight = place[scenes.label], scenes.weight * (place[scenes.label] < rows - 1)
    left, right = all_of_frame(scenes.frame, scenes.frame)
    together = np.bincount(row[left] * rows + row[right], weight[left] * weight[right], rows * rows)
    return Company(place, frames, np.append(usual[counted], 0.0), np.asarray(together, np.float64))


def _enough(scenes: Scenes) -> tuple[Scenes, int]:
    """The rows of every k-th frame, and how many frames these are."""
    frames, count = np.unique(scenes.frame, return_counts=True)
    step = int((count**2).sum()) // ENOUGH + 1
    if step == 1:
        return scenes, len(frames)
    return scenes[np.isin(scenes.frame, frames[::step])], len(frames[::step])


def all_of_frame(frame: IntArray, frames: IntArray) -> tuple[IntArray, IntArray]:
    """(k,) each row of ``frame`` paired with every row of the ascending ``frames`` that is equal to it."""
    first = np.searchsorted(frames, frame, "left")
    count = np.searchsorted(frames, frame, "right") - first
    which = np.repeat(np.arange(len(frame)), count)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(count) - count - first, count)
