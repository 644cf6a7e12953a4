"""Logistic regression with a prior: few examples change little, many change much."""

from __future__ import annotations

import numpy as np

from audit.core.table import FloatArray

ROUNDS = 12
"""Newton's method is at its end after about eight."""


def probability(traits: FloatArray, weights: FloatArray) -> FloatArray:
    """(n,) logistic function of traits (n, k) times weights (k,)."""
    return np.asarray(1 / (1 + np.exp(-np.clip(traits @ weights, -30, 30))))


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
        curvature = (traits * (importance * p * (1 - p))[:, None]).T @ traits + np.diag(strength)
        step = np.linalg.solve(curvature, gradient)
        for _half in range(6):
            loss = _loss(traits, truth, importance, weights - step, prior, strength)
            if loss <= best:
                break
            step = step / 2
        else:
            break
        weights, gain, best = np.asarray(weights - step), best - loss, loss
        if gain < 1e-6:
            break
    return weights


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
