"""Which findings to list so that a wanted share of them can be expected to be real."""

from __future__ import annotations

import numpy as np

from audit.core.table import FloatArray, IntArray


def longest_list(chance: FloatArray, precision: float) -> IntArray:
    """Rows of the longest list of which at least ``precision`` is expected to be real, likeliest first.

    chance: (n,) in [0, 1], NaN counts as 0. precision: in [0, 1]. The mean of the likeliest k only falls
    with k, so the longest such list is unique but for ties; those come in the order given.
    """
    p = np.nan_to_num(np.asarray(chance, np.float64), nan=0.0)
    order = np.argsort(-p, kind="stable")
    mean = np.cumsum(p[order]) / np.arange(1, len(order) + 1)
    # rounding of the sum must not cost a list of equal chances its members
    return order[: int((mean >= precision - 1e-9).sum())]
