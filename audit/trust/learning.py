"""Logistic regression with a prior: few examples change little, many change much."""

from __future__ import annotations

import numpy as np

from audit.core.table import FloatArray

ROUNDS = 12
"""Newton's method is at its end after about eight."""
BLOCK = 512
"""Rows multiplied at once."""
CLOSE = 1e-3
"""Steps that make the examples less than a thousandth more probable (natural logarithm) are not worth their time."""


def probability(traits: FloatArray, weights: FloatArray) -> FloatArray:
    """(n,) logistic function of traits (n, k) times weights (k,)."""
    return chance_of(traits @ weights)


def chance_of(log_odds: FloatArray) -> FloatArray:
    """(n,) logistic function, within exp(±30)."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


def fitted(
    traits: FloatArray, truth: FloatArray, importance: FloatArray, prior: FloatArray, strength: FloatArray
) -> FloatArray:
    """The most probable weights (k,) given the examples and a normal prior: maximum a posteriori.

    traits: (n, k). truth: (n,) 0 or 1 (or a probability). importance: (n,) what each example counts.
    prior: (k,) its mean. strength: (k,) one over its variance. Newton's method with halved steps
    (Bishop 2006, "Pattern Recognition and Machine Learning", section 4.3.3 and 4.4); deterministic.
    """
    weights: FloatArray = prior.copy()
    best = _loss(traits, truth, importance, weights, prior, strength)
    for _ in range(ROUNDS):
        p = probability(traits, weights)
        gradient = traits.T @ (importance * (p - truth)) + strength * (weights - prior)
        curvature = _curvature(traits, importance * p * (1 - p)) + np.diag(strength)
        step = np.linalg.solve(curvature, gradient)
        for _half in range(6):
            loss = _loss(traits, truth, importance, weights - step, prior, strength)
            if loss <= best:
                break
            step = step / 2
        else:
            break
        weights, gain, best = np.asarray(weights - step), best - loss, loss
        if gain < CLOSE:
            break
    return weights


def _curvature(traits: FloatArray, weight: FloatArray) -> FloatArray:
    """(k, k) traits' weighted products, by blocks of rows: small ones wake no threads, which cost more than they do."""
    total = np.zeros((traits.shape[1], traits.shape[1]))
    for start in range(0, len(traits), BLOCK):
        rows = slice(start, start + BLOCK)
        total += (traits[rows] * weight[rows, None]).T @ traits[rows]
    return total


def _loss(
    traits: FloatArray,
    truth: FloatArray,
    importance: FloatArray,
    weights: FloatArray,
    prior: FloatArray,
    strength: FloatArray,
) -> float:
    z = np.clip(traits @ weights, -30, 30)
    fit = importance @ (np.logaddexp(0, z) - truth * z)
    return float(fit + strength @ (weights - prior) ** 2 / 2)
