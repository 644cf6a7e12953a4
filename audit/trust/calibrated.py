"""How far chances can be taken at their word: of findings at 0.8, about 80 % are real."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.table import FloatArray, IntArray, Table, column
from audit.trust.beta import beta_quantile

MOST_BINS = 10
FEWEST_IN_BIN = 15
"""A share among fewer says next to nothing."""
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Reliability(Table):
    """One row per bin of findings with like chances, lowest first; every bin holds about as many.

    expected: mean of the chances. share: of them that was real, low, high: its 95 % interval. count: findings.
    """

    expected: FloatArray = column(np.float64, np.nan, required=True)
    share: FloatArray = column(np.float64, np.nan, required=True)
    low: FloatArray = column(np.float64, 0.0)
    high: FloatArray = column(np.float64, 1.0)
    count: IntArray = column(np.int64, 0)


def reliability(
    chance: FloatArray, real: FloatArray, *, stands_for: FloatArray | None = None, bins: int = MOST_BINS
) -> Reliability:
    """Bins of equal size over findings. chance: (n,) in [0, 1]. real: (n,) 0 or 1. No findings give no bins.

    stands_for: (n,) how many real ones each that is known stands for, itself too; 1 if left out.
    Equal sizes, not equal widths: most findings have small chances, and wide empty bins would hide how those
    do (Nguyen, O'Connor 2015, "Posterior calibration and exploratory analysis", section 3).
    """
    number = min(bins, max(1, len(chance) // FEWEST_IN_BIN))
    order = np.argsort(chance, kind="stable")
    parts = [part for part in np.array_split(order, number) if len(part)]
    count = np.array([len(part) for part in parts], np.int64)
    hits = np.array([real[part].sum() for part in parts], np.float64)
    expected = np.array([chance[part].mean() for part in parts], np.float64)
    each = np.ones(len(parts))
    if stands_for is not None:
        weight = real + TINY  # where none is known, the mean of all tells how far the interval reaches
        each = np.array([np.average(stands_for[part], weights=weight[part]) for part in parts], np.float64)
    share, (low, high) = hits / np.maximum(count, 1), jeffreys(hits, count)
    at_most = np.minimum(each, 1 / np.maximum(share, TINY))  # no more can be real than all
    return Reliability(
        expected=expected, share=share * at_most, low=low * at_most, high=np.minimum(high * each, 1), count=count
    )


def calibration_error(bins: Reliability) -> float:
    """Expected calibration error: the mean distance of chance and share over all findings; NaN for none."""
    total = bins.count.sum()
    return float((np.abs(bins.share - bins.expected) * bins.count).sum() / total) if total else float("nan")


def jeffreys(hits: FloatArray, trials: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
    """Ends of the 95 % interval of a share; 0 for no hits, 1 for nothing but hits.

    Brown, Cai, DasGupta 2001, "Interval estimation for a binomial proportion", section 3.
    """
    k, n = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    shares = np.repeat([0.025, 0.975], len(k))  # both at once: each step then takes the time of one
    low, high = beta_quantile(shares, np.tile(k + 0.5, 2), np.tile(n - k + 0.5, 2)).reshape(2, -1)
    return np.where(k > 0, low, 0.0), np.where(k < n, high, 1.0)
