"""Weights of the traits of masks before anything is known of the data at hand.

Fitted as those of boxes are (``audit.trust.prior``), to mistakes planted into the polygons of coco128-permissive by
``audit.trust.planting_masks``; predictions: yolo11n's real boxes with simulated masks (two draws) and with those of
LiteMedSAM. Written by ``scripts/bench masks --fit``. Traits that have no weight here count 0.
"""

from __future__ import annotations

WEIGHTS: dict[str, float] = {
    "constant": -3.89,
    "prediction score": -0.14,
    "prediction score above 0.5": -0.80,
    "surprise": 0.04,
    "surprising": -0.56,
    "surprising and predicted surely": 0.56,
    "overlap below 0.85": 1.18,
    "overlap below 0.7": -0.16,
    "overlap below 0.5": -1.03,
    "overlap below 0.85 and predicted surely": 0.07,
    "second worst side": -0.45,
    "size": 0.55,
    "rival": -0.73,
    "covered by a label": 0.12,
    "recall of its label": -0.09,
    "sides": 0.36,
    "sides speak for a slip": -0.20,
    "sides speak loudly": 1.74,
    "sides speak for a slip, predicted surely": 0.01,
    "worst side": 0.77,
    "width off": 1.06,
    "height off": 0.53,
    "any name fits better": -0.98,
    "boundary surprise": 0.51,
    "boundary surprising": 0.00,
    "boundary surprising and predicted surely": 1.09,
    "box surprise": 1.39,
    "box surprising": 1.06,
    "box surprising and predicted surely": 1.40,
    "missing part": 0.56,
    "extra part": -0.59,
    "grown or shrunk": -0.42,
    "one-sided": 0.20,
    "drifted": 0.26,
    "merged": 2.28,
    "merged surely": 1.48,
    "split": 1.65,
}
