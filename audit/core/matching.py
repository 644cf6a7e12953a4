"""Matching, best pair first, over all frames at once."""

from __future__ import annotations

import numpy as np

from audit.core.table import BoolArray, FloatArray, IntArray


def greedy_matching(left: IntArray, right: IntArray, order: IntArray, *, n_left: int, n_right: int) -> IntArray:
    """One-to-one matching that takes pairs best first, as COCO's evaluation does.

    left, right: (k,) the two ends of each allowed pair. order: (k,) indices of the pairs, best
    first. Returns the indices of the chosen pairs, ascending. A pair is chosen as soon as it is the
    best one left for both its ends; such pairs never compete, so whole rounds are taken at a time
    and the result is that of the sequential rule (locally dominant edges, Preis 1999).
    """
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    live = np.arange(len(order))
    chosen: list[IntArray] = []
    free_left, free_right = np.ones(n_left, bool), np.ones(n_right, bool)
    while len(live):
        best_left = _lowest(left[live], rank[live], n_left)
        best_right = _lowest(right[live], rank[live], n_right)
        dominant = (best_left[left[live]] == rank[live]) & (best_right[right[live]] == rank[live])
        chosen.append(live[dominant])
        free_left[left[live[dominant]]] = False
        free_right[right[live[dominant]]] = False
        live = live[free_left[left[live]] & free_right[right[live]]]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)


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


def _lowest(group: IntArray, values: IntArray, n: int) -> IntArray:
    """(n,) the lowest value of each group; the largest integer where a group is empty."""
    lowest = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(lowest, group, values)
    return lowest
