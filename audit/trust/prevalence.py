"""How many of the labels are wrong in each way, estimated without a person, and what that does to the chances.

Chances are learnt from mistakes that were planted at one rate, as if just that share of all labels were wrong in
each way. What they make of the labels as they are tells how many really are.

Of one type, let p be the learnt chance of a candidate, a the assumed rate and f the rate sought. Were mistakes as
frequent as f, the odds of every candidate would be another by one factor (Elkan 2001, "The foundations of
cost-sensitive learning", theorem 2):

    p'(f) / (1 - p'(f)) = p / (1 - p) * (f / (1 - f)) / (a / (1 - a))

These chances, added up over the labels as they are, must give the mistakes there are: labels * f * s, where s is the
share of the planted ones among what is added up. Repeating this to its fixed point is the EM algorithm of Saerens,
Latinne and Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori probabilities". Four things
are added:

- Only candidates at ``LIKELY`` or above are added up. Below, sound labels outnumber all mistakes, and what is not
  quite right about their many small chances would drown the rest. Among the likely ones, whatever is there bounds the
  rate from above: few where most of the planted ones are means few in all (Blanchard, Lee, Scott 2010,
  "Semi-supervised novelty detection", section 4).
- A Gamma prior about the assumed rate, as heavy as ``SURENESS`` mistakes. It holds where labels are few, and lets no
  rate become 0.
- A model that does not know the labels doubts most of them, which looks like labels that are nearly all wrong. Rates
  above ``DOUBTFUL`` times the assumed one are therefore believed the less, the higher they are.
- Types lend one another strength, for careful people err little in any way, unless one differs clearly: the rates'
  logarithms are normal about a common one, most closely, a few widely (Gelman et al. 2013, "Bayesian data analysis",
  section 5.4; two normals as in George, McCulloch 1993, "Variable selection via Gibbs sampling"). Small differences
  between types are mostly chance, and taking them at their word would only shuffle the common ranking. What chance
  does goes by the mistakes that a rate was counted from: of one in a thousand labels these are few.

All of a type are shifted alike, so their order stays. What was planted comes on top of what the labels held before;
it was learnt from at the assumed rate, whatever that was, and the labels looked at here are those without it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from audit.core.table import FloatArray
from audit.trust.learning import chance_of

LIKELY = 0.0
"""Log odds, at the assumed rate, from which on candidates are added up: a chance of a half."""
SURENESS = 0.5
"""Mistakes that the assumed rate counts for, as if they had been seen."""
DOUBTFUL = 2.5
"""Times the assumed rate up to which a rate is fully believed; at its square only the assumed rate is left."""
HIGHEST = 0.5
"""No rate above is tried."""
ALIKE = 0.05
"""Standard deviation of the natural logarithm of a type's rate about that of all, for one like the others."""
UNLIKE = 1.0
"""The same for a type that is not: nearly three times as frequent, or as rare."""
ODD = 0.05
"""Chance of a type to be unlike the others. All three were chosen on planted mistakes (``scripts/bench rates``): one
normal between the two ranked worse where all types are as frequent, and where only one is wrong."""
ASSUMED_COUNTS = 1.0
"""What the assumed rate counts for in that of all; a type counts up to 19."""
ROUNDS = 100
CLOSE = 1e-4
"""Relative change at which the fixed point is taken for reached."""

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Witness:
    """What one type's learnt scores say. actual: (n,) log odds of all candidates in the labels as they are.

    planted: (m,) log odds of those planted mistakes that are candidates, of ``plantings`` in all (in all copies).
    """

    actual: FloatArray
    planted: FloatArray
    plantings: int

    @property
    def share(self) -> float:
        """Of the planted ones, those that are likely, in [0, 1]."""
        return float((self.planted >= LIKELY).sum()) / max(self.plantings, 1)


def prevalence(witnesses: Mapping[K, Witness], labels: int, assumed: float) -> dict[K, float]:
    """The share of the labels that is wrong in each way, in (0, ``HIGHEST``].

    labels: how many there are. assumed: the rate in (0, 1) at which mistakes were planted. A type of which no planted
    mistake came out likely is taken to be about as frequent as the others; if that holds for all, as assumed.
    """
    alone = {kind: _alone(w, labels, assumed) for kind, w in witnesses.items() if labels * w.share > 0}
    return _together(witnesses, alone, assumed)


def shift(rate: float, assumed: float) -> float:
    """What to add to log odds learnt at the assumed rate. Both in (0, 1)."""
    return float(np.log(rate / (1 - rate)) - np.log(assumed / (1 - assumed)))


def _alone(w: Witness, labels: int, assumed: float) -> tuple[float, float]:
    """One type's rate by itself, and how many mistakes it would be counted from at the assumed rate."""
    likely, seen = w.actual[w.actual >= LIKELY], labels * w.share
    rate = assumed
    for _ in range(ROUNDS):
        before, real = rate, float(chance_of(likely + shift(rate, assumed)).sum())
        rate = min((SURENESS + real) / (SURENESS / assumed + seen), HIGHEST)
        if abs(rate - before) < CLOSE * rate:
            break
    return _believed(rate, assumed), SURENESS + assumed * seen


def _believed(rate: float, assumed: float) -> float:
    top = DOUBTFUL * assumed
    return rate if rate <= top else max(top * top / rate, assumed)


def _together(kinds: Mapping[K, Witness], alone: Mapping[K, tuple[float, float]], assumed: float) -> dict[K, float]:
    """Each type's rate, drawn towards that of all unless it differs by more than chance explains."""
    usual = (1 - ODD) * ALIKE**2 + ODD * UNLIKE**2
    weight = {kind: 1 / (1 / counted + usual) for kind, (_, counted) in alone.items()}
    logs = sum(weight[kind] * np.log(rate) for kind, (rate, _) in alone.items()) + ASSUMED_COUNTS * np.log(assumed)
    common = float(logs / (sum(weight.values()) + ASSUMED_COUNTS))
    apart = {
        kind: _apart(float(np.log(rate)) - common, 1 / _counted_from(rate, counted, assumed))
        for kind, (rate, counted) in alone.items()
    }
    return {kind: float(np.exp(common + apart.get(kind, 0.0))) for kind in kinds}


def _counted_from(rate: float, counted: float, assumed: float) -> float:
    """Mistakes that a rate was counted from, which at the assumed rate would have been ``counted``."""
    return SURENESS + (counted - SURENESS) * rate / assumed


def _apart(difference: float, variance: float) -> float:
    """How far a type's logarithm is taken to lie from that of all, when it was found that far, give or take chance."""
    spread = np.array([ALIKE, UNLIKE]) ** 2
    fits = np.array([1 - ODD, ODD]) * np.exp(-(difference**2) / 2 / (variance + spread)) / np.sqrt(variance + spread)
    return float(difference * (fits * spread / (variance + spread)).sum() / max(fits.sum(), 1e-300))
