"""Weights of the traits of masks before anything is known of the data at hand.

Fitted as those of boxes are (``audit.trust.prior``), to mistakes planted into the polygons of coco128-permissive
by ``audit.trust.planting_masks``, by ``scripts/bench masks --fit``. Traits that have no weight here count 0.
"""

from __future__ import annotations

WEIGHTS: dict[str, float] = {
    "constant": -4.42,
    "prediction score": -0.39,
    "prediction score above 0.5": -0.68,
    "surprise": 0.56,
    "surprising": -0.39,
    "surprising and predicted surely": 0.64,
    "overlap below 0.85": 1.73,
    "overlap below 0.7": -0.38,
    "overlap below 0.5": -1.27,
    "overlap below 0.85 and predicted surely": 0.26,
    "second worst side": 0.84,
    "size": 0.52,
    "rival": -0.79,
    "covered by a label": 0.15,
    "recall of its label": -0.11,
    "boundary surprise": 0.14,
    "boundary surprising": -0.39,
    "boundary surprising and predicted surely": 1.05,
    "box surprise": 2.03,
    "box surprising": 1.55,
    "box surprising and predicted surely": 1.07,
    "missing part": 0.52,
    "extra part": -0.33,
    "grown or shrunk": -0.47,
    "one-sided": 0.61,
    "drifted": -0.09,
    "merged": 2.30,
    "merged surely": 1.36,
    "split": 1.98,
}
