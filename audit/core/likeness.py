"""Which pictures look alike: a hash of 64 bits that small changes hardly alter, and the search for close ones.

The difference hash (Krawetz, "Kind of Like That", 2013): the picture shrunk to 9 x 8 grey cells, one bit per
pair of neighbouring cells, set where it gets darker to the right. Another size, compression or brightness
changes few bits; what stands in the picture changes about half of them.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import scipy  # loads its parts when they are used, which most audits do not
from numpy.typing import NDArray

from audit.core.table import IntArray

Hashes = NDArray[np.uint64]
CELLS_HW = (8, 9)
HASH_BITS = 64
UNKNOWN = np.uint64(0)
"""The hash of what was never looked at, and of a picture without any contrast: alike to nothing."""
SAMPLES = 16
"""Pixels a cell is averaged from, in each direction: more change nothing but the time it takes."""
GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
STEP = 0.5
"""Grey levels (of 255) by which a cell must be brighter: noise on an even surface sets no bits."""
MOST_BITS = 4
"""Pictures whose hashes differ in no more bits are near duplicates: one in 10^13 unrelated pairs does by chance,
were all bits independent."""
AGREEING = 2
"""Bands that must agree besides those that the differing bits may spoil."""
NEIGHBOURS = 8
"""Of very many hashes that agree in their bands, each is compared with this many that follow it in order."""


def difference_hash(picture: NDArray[np.uint8]) -> np.uint64:
    """The hash of a picture. picture: (h, w, 3) RGB or (h, w) grey, at least one pixel, of any size."""
    if picture.ndim not in (2, 3) or 0 in picture.shape:
        raise ValueError(f"a picture is (h, w) or (h, w, 3) with at least one pixel, not {picture.shape}")
    cells = _cells(picture)
    bits = cells[:, :-1] > cells[:, 1:] + STEP
    value: np.uint64 = np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))
    return value


def _cells(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(8, 9) mean brightness, from a grid of samples."""
    rows, columns = (_places(n, cells * SAMPLES) for n, cells in zip(picture.shape[:2], CELLS_HW, strict=True))
    samples = picture[rows].take(columns, axis=1).astype(np.float32)
    grey = samples @ GREY if samples.ndim == 3 else samples
    return np.asarray(grey.reshape(CELLS_HW[0], SAMPLES, CELLS_HW[1], SAMPLES).mean(axis=(1, 3)))


def _places(length: int, count: int) -> IntArray:
    """Where ``count`` samples lie on ``length`` pixels: the middles of equal parts."""
    return np.asarray(((np.arange(count) + 0.5) * length / count).astype(np.int64))


def distance(a: Hashes, b: Hashes) -> IntArray:
    """(n,) how many bits differ. a, b: (n,)."""
    # sums within pairs of bits, then of fours, then of bytes; the product adds the bytes up in the highest one
    x = np.bitwise_xor(a, b)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.asarray((x * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


def near_pairs(hashes: Hashes, max_bits: int = MOST_BITS) -> IntArray:
    """(k, 2) rows of pictures that look alike, left before right, sorted; without order of the input otherwise.

    hashes: (n,), ``UNKNOWN`` is alike to nothing. Rows of one and the same hash are chained (each with the
    next), and the first of them stands for all when compared with other hashes, so that a still camera's
    thousand equal frames give a thousand pairs and not a million.
    max_bits: 0 to 15. By the pigeonhole principle, hashes that differ in no more than max_bits bits agree in at
    least two of max_bits + 2 bands; only such are compared. Of more than nine hashes that agree there, pairs further
    apart in order may be left out: a video's scene is a chain of look-alikes, not all pairs of them.
    """
    if not 0 <= max_bits <= 15:
        raise ValueError(f"max_bits is 0 to 15, not {max_bits}")
    known = np.flatnonzero(hashes != UNKNOWN)
    order = known[np.argsort(hashes[known], kind="stable")]
    same = hashes[order[1:]] == hashes[order[:-1]]
    chained = np.column_stack([order[:-1][same], order[1:][same]])
    first = order[np.append(True, ~same)] if len(order) else order
    pairs = np.vstack([chained, first[_close(hashes[first], max_bits)]]) if max_bits else chained
    return np.unique(np.sort(pairs.reshape(-1, 2), axis=1), axis=0)


def near_duplicates(hashes: Hashes, max_bits: int = MOST_BITS) -> IntArray:
    """(n,) the group of each picture: pictures alike, or alike to one that is alike, share a number from 0 up.

    Groups are numbered in the order of their first picture; one without its like is a group of its own.
    """
    n = len(hashes)
    if not n:
        return np.zeros(0, np.int64)
    left, right = near_pairs(hashes, max_bits).T
    graph = scipy.sparse.coo_array((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    group = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[place])


def _close(hashes: Hashes, max_bits: int) -> IntArray:
    """(k, 2) rows of different hashes that differ in no more than max_bits bits. hashes: (n,) ascending."""
    n, found = len(hashes), np.zeros(0, np.int64)
    for mask in _masks(max_bits + AGREEING):
        key = hashes & mask
        order = np.argsort(key, kind="stable")
        pairs = order[_agreeing(hashes[order], key[order], max_bits)]
        found = np.union1d(found, pairs[:, 0] * n + pairs[:, 1])
    return np.column_stack(np.divmod(found, max(n, 1)))


def _agreeing(hashes: Hashes, key: Hashes, max_bits: int) -> IntArray:
    """(k, 2) rows of one key whose hashes are close. hashes, key: (n,) sorted by key."""
    found = [np.zeros((0, 2), np.int64)]
    for step in range(1, NEIGHBOURS + 1):
        left = np.flatnonzero(key[step:] == key[:-step])
        if not len(left):
            break
        left = left[distance(hashes[left], hashes[left + step]) <= max_bits]
        found.append(np.column_stack([left, left + step]))
    return np.vstack(found)


def _masks(bands: int) -> list[np.uint64]:
    """One mask for each choice of ``AGREEING`` of these bands of bits."""
    edges = np.linspace(0, HASH_BITS, bands + 1).astype(int).tolist()
    parts = [sum(1 << bit for bit in range(a, b)) for a, b in pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in combinations(parts, AGREEING)]
