"""How far to believe one thing that many frames of a video say, and on which of them it holds."""

from __future__ import annotations

import numpy as np

from audit.core.table import FloatArray

ALIKE = 0.5
"""Correlation between the evidence of two frames of one object. The same detector looks at almost the same pixels
again, so frames repeat one witness rather than add new ones: 0 would take them for strangers (300 frames at 60 % come
to certainty), 1 for one and the same look. A judgement."""
SURE = 4.6
"""Log odds beyond which no frame is believed: chances of 1 and 99 %. One frame must not silence all others."""


def log_odds(chance: FloatArray) -> FloatArray:
    """(n,) natural logarithm of the odds, within ``SURE``."""
    p = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.asarray(np.clip(np.log(p / (1 - p)), -SURE, SURE))


def together(odds: FloatArray) -> float:
    """The chance that many frames give together. odds: (n,) their log odds, of which one stays as it is.

    Their mean; if that speaks for the thing, times the number of independent looks that n alike ones are worth,
    n / (1 + (n - 1) ALIKE): 2 at most. Below even odds it is mostly the rareness of mistakes that speaks, which many
    frames do not repeat: there the mean stays.
    A weighted sum of log odds is a logarithmic opinion pool (Genest and Zidek 1986, "Combining probability
    distributions", Statistical Science 1); the number of looks is the design effect of samples drawn in clusters
    (Kish 1965, "Survey Sampling", section 5.4).
    """
    n, mean = len(odds), float(odds.mean())
    looks = n / (1 + (n - 1) * ALIKE) if mean > 0 else 1.0
    return float(1 / (1 + np.exp(-looks * mean)))


def half_as_likely(odds: FloatArray) -> float:
    """Log odds of half the chance that the likeliest frame gives: what is fainter is not seen there. (n,), n > 0.

    Even odds would be no limit to use: an object at 52 % on one frame and at 48 % on the others is there on all.
    """
    best = float(1 / (1 + np.exp(-odds.max())))
    return float(log_odds(np.array([best / 2]))[0])


def stretches(odds: FloatArray) -> list[slice]:
    """The runs of frames on which the evidence speaks for the thing, in order; (n,) log odds of frames in time.

    All maximal runs with a positive sum (Ruzzo and Tompa 1999, "A linear time algorithm for finding all maximal
    scoring subsequences", ISMB): a doubtful frame in between does not break a run. odds: over a limit, which is 0.
    """
    begin: list[int] = []
    end: list[int] = []
    before: list[float] = []
    upto: list[float] = []
    total = 0.0
    for i, value in enumerate(odds.tolist()):
        left, total = total, total + value
        if value <= 0:
            continue
        start, right = i, total
        while True:
            j = next((k for k in reversed(range(len(begin))) if before[k] < left), -1)
            if j < 0 or upto[j] >= right:
                break
            start, left = begin[j], before[j]
            del begin[j:], end[j:], before[j:], upto[j:]
        begin.append(start)
        end.append(i + 1)
        before.append(left)
        upto.append(right)
    return [slice(a, b) for a, b in zip(begin, end, strict=True)]


def tail(odds: FloatArray) -> int:
    """How many of the last frames have the largest sum of log odds; 0 if no sum is positive. (n,) in time."""
    sums = np.cumsum(odds[::-1])
    return int(sums.argmax()) + 1 if len(sums) and sums.max() > 0 else 0
