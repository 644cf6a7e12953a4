"""Weights of the traits of masks before anything is known of the data at hand.

Fitted as those of boxes are (``audit.trust.prior``), to mistakes planted into the polygons of coco128-permissive
by ``audit.trust.planting_masks``, by ``scripts/bench masks --fit``. Traits that have no weight here count 0.
"""

from __future__ import annotations

WEIGHTS: dict[str, float] = {
    "constant": -3.18,
    "prediction score": -0.48,
    "prediction score above 0.5": -0.39,
    "surprise": 1.45,
    "surprising": -0.24,
    "surprising and predicted surely": 1.38,
    "overlap below 0.85": 2.11,
    "overlap below 0.7": -1.10,
    "overlap below 0.5": -1.67,
    "overlap below 0.85 and predicted surely": -0.09,
    "second worst side": 0.77,
    "size": 0.59,
    "rival": -1.25,
    "covered by a label": 0.10,
    "recall of its label": -0.22,
    "boundary surprise": 0.29,
    "boundary surprising": -0.94,
    "boundary surprising and predicted surely": 1.21,
    "box surprise": 1.70,
    "box surprising": 2.13,
    "box surprising and predicted surely": 1.41,
    "missing part": 0.67,
    "extra part": -0.19,
    "grown or shrunk": -0.45,
    "one-sided": 0.67,
    "drifted": -0.18,
    "merged": 2.60,
    "merged surely": 1.45,
    "split": 1.81,
}
