"""How many mistakes are still in a task, with an interval: from the scores, the verdicts and a blind sample.

Findings not yet judged are drawn again and again, real or not, by chances that are themselves drawn from what the
verdicts leave open. Where no finding is, only the blind sample knows: labels and frames drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.core.findings import FindingType
from audit.core.table import FloatArray, IntArray
from audit.trust.verdicts import Facts, Recalibration

DRAWS = 1000
STEPS = 10.0
"""Scores that differ by less than 1/10 in log odds are drawn together, so that a million findings cost no more."""
AT_ONCE = 2000
"""Groups of like findings drawn in one go: 16 MB."""
MOST_FRAMES = 0.98
"""A larger share of frames with something overlooked says no more than "about four objects each"."""


@dataclass(frozen=True)
class Estimate:
    """A number not known: ``expected`` from the chances; with 95 % between ``low`` and ``high``."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Sampled:
    """A blind sample. units: labels or frames that no finding is about, asked: of them, wrong: of those."""

    units: int
    asked: int
    wrong: int


@dataclass(frozen=True)
class Drawn:
    """Findings that wait, by type and band of the queue. type, band: (g,). count: (g,) their findings.

    expected: (g,) the sum of their chances. real: (draws, g) how many of each may be real.
    """

    type: IntArray
    band: IntArray
    count: IntArray
    expected: FloatArray
    real: IntArray

    def total(self) -> IntArray:
        """(draws,) real ones in all."""
        return np.asarray(self.real.sum(axis=1))


def drawn(
    taught: Recalibration,
    waiting: Facts,
    band: IntArray,
    chance: FloatArray,
    *,
    seed: int = 0,
    number: int = DRAWS,
) -> Drawn:
    """Draw how many of the waiting findings are real. band: (n,) of the queue, the highest is asked first.

    chance: (n,) of each, as it is shown; draws are skewed, so their middle would be too high.
    taught: with the doubt that intervals want (``verdicts.OPEN``). A sum of unlike chances is drawn as the binomial
    of the same mean and nearly the same variance (Ehm 1991, "Binomial approximation to the Poisson binomial").
    """
    rng = np.random.default_rng(seed)
    curves = taught.draws(number, rng)
    groups, place = np.unique(np.column_stack([waiting.type, band]), axis=0, return_inverse=True)
    rows, times = _alike(waiting, place.reshape(-1), taught.labels)
    mean, square = np.zeros((2, number, len(groups)))
    for start in range(0, len(rows), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        drawn_chance = curves.chances(waiting[rows[part]])
        belongs = (place.reshape(-1)[rows[part], None] == np.arange(len(groups))) * times[part, None]
        mean += drawn_chance @ belongs
        square += drawn_chance**2 @ belongs
    trials = np.maximum(np.rint(np.divide(mean**2, square, out=np.ones_like(mean), where=square > 0)), 1)
    real = rng.binomial(trials.astype(np.int64), np.clip(mean / trials, 0, 1))
    count = np.bincount(place.reshape(-1), minlength=len(groups))
    expected = np.bincount(place.reshape(-1), weights=chance, minlength=len(groups)).astype(np.float64)
    return Drawn(groups[:, 0], groups[:, 1], count, expected, np.minimum(real, count))


def estimate(draws: IntArray | FloatArray, expected: float) -> Estimate:
    """The middle 95 % of draws (n,), and what is expected, within it."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(np.clip(expected, low, high)), float(low), float(high))


def by_type(drawn_: Drawn) -> dict[FindingType, Estimate]:
    """What may be left of each type that still waits."""
    kinds = {k: drawn_.type == k for k in FindingType}
    return {
        k: estimate(drawn_.real[:, rows].sum(axis=1), drawn_.expected[rows].sum())
        for k, rows in kinds.items()
        if rows.any()
    }


@dataclass(frozen=True)
class Rest:
    """Draws (draws,) of a number of which a sample tells: once as low and once as high as it may be. expected: of it.

    A confidence box (Balch 2012, "Mathematical foundations for a theory of confidence structures"): the two
    posteriors whose quantiles are the ends of Clopper and Pearson's interval. It can be added to other draws,
    and unlike a prior it does not pull up what is rare: nothing wrong among ten asked may mean nothing wrong.
    """

    low: FloatArray
    high: FloatArray
    expected: float

    def estimate(self) -> Estimate:
        """The 95 % interval."""
        return _together(np.zeros(1), 0.0, [self])


def together(findings: Drawn, *rests: Rest) -> Estimate:
    """Mistakes among findings that wait, and those that no finding shows, in all."""
    return _together(findings.total(), float(findings.expected.sum()), rests)


def _together(draws: IntArray | FloatArray, expected: float, rests: Sequence[Rest]) -> Estimate:
    low = float(np.quantile(draws + sum(r.low for r in rests), 0.025))
    high = float(np.quantile(draws + sum(r.high for r in rests), 0.975))
    return Estimate(float(np.clip(expected + sum(r.expected for r in rests), low, high)), low, high)


def rest_of_labels(sample: Sampled, *, seed: int = 1, number: int = DRAWS) -> Rest:
    """The wrong ones among the labels that were not asked."""
    rng, units = np.random.default_rng(seed), max(sample.units - sample.asked, 0)
    low, high = (rng.binomial(units, share).astype(np.float64) for share in _shares(sample, number, rng))
    return Rest(low, high, units * sample.wrong / max(sample.asked, 1))


def rest_of_frames(sample: Sampled, *, span: float = 1.0, seed: int = 2, number: int = DRAWS) -> Rest:
    """The objects overlooked on frames that were not asked, each counted once.

    A frame was asked whether it lacks a label, not how many; objects are taken to be overlooked independently,
    so that a share q of frames with any means -log(1 - q) objects a frame.
    span: on how many frames of a video an object shows, on average; 1 in photos. An overlooked one is taken to show
    on as many. Then frames near each other tell the same, so no more answers count than there are stretches of so
    many frames: in simulated videos intervals held the truth in .93 to 1.0 of 300 each, and else in .73 to .96.
    """
    rng, units = np.random.default_rng(seed), max(sample.units - sample.asked, 0)
    weight = 1.0 if span <= 1 else min(1.0, units / span / max(sample.asked, 1))
    shares = _shares(sample, number, rng, weight)
    low, high = (rng.poisson(_rate(s) * units / span).astype(np.float64) for s in shares)
    return Rest(low, high, float(_rate(np.array(sample.wrong / max(sample.asked, 1)))) * units / span)


def _rate(share: FloatArray) -> FloatArray:
    return np.asarray(-np.log1p(-np.minimum(share, MOST_FRAMES)))


def _shares(
    sample: Sampled, number: int, rng: np.random.Generator, weight: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """weight: of an answer, in [0, 1]."""
    k, rest = sample.wrong * weight, (sample.asked - sample.wrong) * weight
    low = rng.beta(k, rest + 1, number) if k else np.zeros(number)
    return low, rng.beta(k + 1, rest, number) if rest else np.ones(number)


def _alike(facts: Facts, group: IntArray, labels: IntArray) -> tuple[IntArray, IntArray]:
    """Rows of one finding for each set of like ones, and how many there are of each."""
    p = np.clip(np.nan_to_num(facts.score, nan=0.0), 1e-9, 1 - 1e-9)
    step = np.rint(np.log(p / (1 - p)) * STEPS).astype(np.int64) + 1000
    own = np.where(np.isin(facts.label, labels), facts.label + 1, 0)
    key = (group.astype(np.int64) << 44) + (own << 12) + step
    _, rows, times = np.unique(key, return_index=True, return_counts=True)
    return rows, times
