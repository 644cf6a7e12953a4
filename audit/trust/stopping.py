"""When to stop reviewing: how many more answers until most of the mistakes are found, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.core.table import FloatArray, IntArray
from audit.trust.left_over import Drawn, Estimate, estimate

TARGET = 0.9
SURE = 0.95
"""How certain it must be that the target is reached before "stop" is said."""
SLOWEST = 0.95
"""Answers that took longer than this quantile count as this long: lunch is no part of reviewing."""


@dataclass(frozen=True)
class Advice:
    """more: answers until the target is reached if chances are right; surely: until it is so with 95 %.

    found: mistakes accepted so far. share: of all that findings show, the part found so far. waiting: findings
    that can still be asked. seconds: of one answer, NaN if none was timed.
    """

    target: float
    found: int
    waiting: int
    share: Estimate
    more: int
    surely: int
    seconds: float

    @property
    def stop(self) -> bool:
        """Whether the target is reached, as surely as can be said."""
        return self.surely == 0


def advise(drawn: Drawn, found: int, seconds: float, *, target: float = TARGET) -> Advice:
    """What to tell a reviewer. found: findings accepted so far. seconds: see ``pace``. target: in (0, 1]."""
    real, likely = drawn.total(), float(drawn.expected.sum())
    everything = found + real
    share = np.where(everything > 0, found / np.maximum(everything, 1), 1.0)
    middle = found / (found + likely) if found + likely > 0 else 1.0
    needed = np.maximum(np.ceil(target * everything - 1e-9) - found, 0)
    surely = int(np.quantile(_answers_until(drawn, drawn.real, needed), SURE, method="higher"))
    wanted = np.maximum(np.array([target * (found + likely) - found]), 0)
    more = int(_answers_until(drawn, drawn.expected[None], wanted)[0])
    return Advice(target, found, int(drawn.count.sum()), estimate(share, middle), min(more, surely), surely, seconds)


def pace(seconds: Sequence[float] | FloatArray) -> float:
    """Mean seconds of an answer, breaks cut short; NaN if there are none."""
    taken = np.asarray(seconds, np.float64)
    taken = taken[np.isfinite(taken) & (taken > 0)]
    return float(np.minimum(taken, np.quantile(taken, SLOWEST)).mean()) if len(taken) else float("nan")


def _answers_until(drawn: Drawn, real: IntArray | FloatArray, needed: FloatArray) -> FloatArray:
    """(draws,) answers until so many of the real ones (draws, g) have come: by bands, at random within each."""
    answers, open_ = np.zeros(len(needed)), needed.astype(np.float64)
    for band in np.unique(drawn.band)[::-1]:
        rows = drawn.band == band
        n, hits = float(drawn.count[rows].sum()), real[:, rows].sum(axis=1)
        # the m-th of h in random order among n stands, in the mean, at m (n + 1) / (h + 1)
        answers += np.where(open_ > hits, n, open_ * (n + 1) / (hits + 1))
        open_ = np.maximum(open_ - hits, 0)
    return np.asarray(np.ceil(answers))
