"""Quantiles of the beta distribution: what intervals of shares need, without the time it takes to import a library."""

from __future__ import annotations

import math

import numpy as np

from audit.core.table import BoolArray, FloatArray

SETTLED = 1e-14
"""Relative change at which a fraction has settled."""
CLOSE = 1e-9
"""Step after which Newton's next, whose error is about the square of it, would change nothing."""
MOST_TERMS = 10_000
"""About the square root of the larger parameter is needed: enough for a hundred million trials."""
MOST_STEPS = 50
SMALLEST = 1e-300
"""Stands for a zero that is divided by."""


def beta_quantile(share: float | FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """(n,) where the beta distribution with these parameters (n,), all above 0, has this share below it.

    share: one or (n,), in (0, 1). Newton's way to the share's logarithm over the logit of x: from the smaller side
    that is a concave curve, on which no step leads away.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    upper = np.broadcast_to(np.asarray(share) > 0.5, a.shape)
    share, a, b = np.where(upper, 1 - share, share), np.where(upper, b, a), np.where(upper, a, b)
    logit = np.log(a / b)
    for _ in range(MOST_STEPS):
        x = 1 / (1 + np.exp(-logit))
        below = beta_below(x, a, b)
        slope = np.exp(_log_weight(x, a, b)) / below
        step = np.log(share / below) / slope
        logit = logit + step
        if (np.abs(step) <= CLOSE).all():
            break
    x = 1 / (1 + np.exp(-logit))
    return np.where(upper, 1 - x, x)


def beta_below(x: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """(n,) share of the beta distribution below x (n,), in (0, 1): the regularised incomplete beta function.

    Its continued fraction, from the side where it settles quickly: NIST Digital Library of Mathematical
    Functions, section 8.17(v).
    """
    other_side = x > (a + 1) / (a + b + 2)
    x, a, b = np.where(other_side, 1 - x, x), np.where(other_side, b, a), np.where(other_side, a, b)
    with np.errstate(under="ignore"):
        part = np.exp(_log_weight(x, a, b)) / a / _fraction(x, a, b)
    return np.where(other_side, 1 - part, part)


def _log_weight(x: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Logarithm of the density over the logit of x."""
    return a * np.log(x) + b * np.log1p(-x) - _log_beta(a, b)


def _log_beta(a: FloatArray, b: FloatArray) -> FloatArray:
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return np.array([math.lgamma(p) + math.lgamma(q) - math.lgamma(p + q) for p, q in pairs])


def _fraction(x: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """1 + d1 / (1 + d2 / (1 + ...)), by the way of Lentz: two ratios of successive terms."""
    value, upper, lower = np.ones_like(x), np.ones_like(x), np.zeros_like(x)
    for term in range(1, MOST_TERMS):
        d = _coefficient(term, x, a, b)
        lower = 1 / _not_zero(1 + d * lower)
        upper = _not_zero(1 + d / upper)
        change = upper * lower
        value = value * change
        if _settled(change).all():
            break
    return value


def _coefficient(term: int, x: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    m = term // 2
    if term % 2:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def _settled(change: FloatArray) -> BoolArray:
    return np.asarray(np.abs(change - 1) <= SETTLED)


def _not_zero(values: FloatArray) -> FloatArray:
    return np.where(values == 0, SMALLEST, values)
