"""Matching, best pair first, over all frames at once."""

from __future__ import annotations

import numpy as np

from audit.core.table import BoolArray, FloatArray, IntArray


def greedy_matching(left: IntArray, right: IntArray, order: IntArray, *, n_left: int, n_right: int) -> IntArray:
    """One-to-one matching that takes pairs best first, as COCO's evaluation does.

    left, right: (k,) the two ends of each allowed pair. order: (k,) indices of the pairs, best
    first. Returns the indices of the chosen pairs, ascending.
    """
    value = np.empty(len(order))
    value[order] = -np.arange(len(order))
    return highest_matching(left, right, value, n_left=n_left, n_right=n_right)


def highest_matching(left: IntArray, right: IntArray, value: FloatArray, *, n_left: int, n_right: int) -> IntArray:
    """The same, by the value of each pair (k,): highest first, of equals the first; those with NaN are left out.

    A pair is chosen as soon as it is the best one left for both its ends; such pairs never compete, so whole rounds
    are taken at a time and the result is that of the sequential rule (locally dominant edges, Preis 1999).
    """
    live = np.flatnonzero(~np.isnan(value))
    left, right, value = left.take(live), right.take(live), value.take(live)
    chosen: list[IntArray] = []
    left_ends, right_ends = _Ends(n_left), _Ends(n_right)
    while len(live):
        won = np.flatnonzero(left_ends.best(left, value) & right_ends.best(right, value))
        chosen.append(live.take(won))
        left_ends.free[left.take(won)] = False
        right_ends.free[right.take(won)] = False
        rest = np.flatnonzero(left_ends.free.take(left) & right_ends.free.take(right))
        live, left, right, value = live.take(rest), left.take(rest), right.take(rest), value.take(rest)
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)


class _Ends:
    """The ends of pairs on one side. free: (n,) which are in no chosen pair yet."""

    def __init__(self, n: int) -> None:
        self.free = np.ones(n, bool)
        self._highest, self._first = np.empty(n), np.empty(n, np.int64)

    def best(self, end: IntArray, value: FloatArray) -> BoolArray:
        """(k,) whether each pair is the best of its end, of equals the first."""
        self._highest[end] = -np.inf
        np.maximum.at(self._highest, end, value)
        equal = np.flatnonzero(value == self._highest.take(end))[::-1]
        self._first[end.take(equal)] = equal
        return np.asarray(self._first.take(end) == np.arange(len(end)))


def suppress(left: IntArray, right: IntArray, score: FloatArray) -> BoolArray:
    """Greedy non-maximum suppression over all frames at once.

    left, right: (k,) pairs of rows that exclude each other. score: (n,) highest is best, of equals the first row.
    Returns (n,) True for rows kept: best first, each kept row removes the rows it is paired with.
    """
    n = len(score)
    one, other = score[left], score[right]
    better = (one > other) | ((one == other) & (left < right))
    winner, loser = np.where(better, left, right), np.where(better, right, left)
    distinct = winner != loser
    winner, loser = winner[distinct], loser[distinct]
    undecided, kept = np.ones(n, bool), np.zeros(n, bool)
    while undecided.any():
        blocked = np.zeros(n, bool)
        blocked[loser] = True
        new = undecided & ~blocked
        kept |= new
        undecided &= ~new
        undecided[loser[new[winner]]] = False
        live = undecided[winner] & undecided[loser]
        winner, loser = winner[live], loser[live]
    return kept
